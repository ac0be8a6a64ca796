package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
)

// problem is an answer that is not what was asked for.
type problem struct {
	status int
	text   string
	// hint says what to do about it.
	hint string
}

func (p *problem) Error() string {
	if p.hint != "" {
		return p.text + " (" + p.hint + ")"
	}
	return p.text
}

func refuse(status int, format string, args ...any) *problem {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

func (p *problem) try(format string, args ...any) *problem {
	p.hint = fmt.Sprintf(format, args...)
	return p
}

// problemOf says what a person is told of an error.
func problemOf(err error) *problem {
	var p *problem
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLong):
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLong.Limit)
	case errors.Is(err, artifact.ErrDiskFull), errors.Is(err, eventlog.ErrDiskFull):
		return refuse(http.StatusInsufficientStorage, "%v", err)
	case errors.Is(err, eventlog.ErrNotStored):
		return refuse(http.StatusServiceUnavailable, "%v", err)
	case errors.Is(err, eventlog.ErrMoved):
		return refuse(http.StatusServiceUnavailable, "%v", err).try("send it again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return refuse(http.StatusServiceUnavailable, "%v", err).try("is the event log reachable? see /readyz")
	}
	return refuse(http.StatusInternalServerError, "%v", err)
}

// poison tells whether the sender of an event must not send it again.
func poison(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.status < http.StatusInternalServerError
}

func writeProblem(w http.ResponseWriter, p *problem) {
	writeJSON(w, p.status, struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{p.text, p.hint})
}

func writeText(w http.ResponseWriter, p *problem) { http.Error(w, p.Error(), p.status) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read it in a terminal
	if err := e.Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who has gone away needs no answer
}

// noPipeline says that there is no such pipeline, and which there are.
func noPipeline(name string, known []string) *problem {
	p := refuse(http.StatusNotFound, "there is no pipeline %q", name)
	if near := nearest(name, known); near != "" {
		return p.try("did you mean %q? There are: %s", near, list(known))
	}
	if len(known) == 0 {
		return p.try("no pipeline is configured yet; start millrace with --pipelines and a folder that holds a pipeline.yaml")
	}
	return p.try("there are: %s", list(known))
}

func list(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// nearest is the known name that differs least from the given one, empty when
// all differ by more than a third.
func nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := distance(name, k); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace that make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], slices.Min([]int{diagonal + cost, row[j] + 1, row[j+1] + 1})
		}
	}
	return row[len(b)]
}
