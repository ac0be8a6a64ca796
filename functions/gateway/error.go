package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"millrace.dev/config"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/httperror"
)

// errorOf returns the answer that reports an error to the client.
func errorOf(err error) *httperror.Error {
	if e, ok := errors.AsType[*httperror.Error](err); ok { // a refusal of access wraps one
		return e
	}
	tooLong, _ := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLong != nil:
		return httperror.New(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLong.Limit)
	case errors.Is(err, artifact.ErrDiskFull), errors.Is(err, eventlog.ErrDiskFull):
		return httperror.New(http.StatusInsufficientStorage, "%v", err)
	case errors.Is(err, eventlog.ErrNotStored):
		return httperror.New(http.StatusServiceUnavailable, "%v", err)
	case errors.Is(err, eventlog.ErrMoved):
		return httperror.New(http.StatusServiceUnavailable, "%v", err).Try("send it again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httperror.New(http.StatusServiceUnavailable, "%v", err).Try("is the event log reachable? see /readyz")
	}
	return httperror.New(http.StatusInternalServerError, "%v", err)
}

// poison reports whether sending the same event again cannot succeed.
func poison(err error) bool {
	e, ok := errors.AsType[*httperror.Error](err)
	return ok && e.Status < http.StatusInternalServerError
}

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
	_, _ = w.Write(b.Bytes()) // a client that has gone away needs no answer
}

// noPipeline returns the answer that there is no such pipeline, with the existing ones.
func noPipeline(name string, known []string) *httperror.Error {
	p := httperror.New(http.StatusNotFound, "there is no pipeline %q", name)
	if near := config.Nearest(name, known); near != "" {
		return p.Try("did you mean %q? There are: %s", near, list(known))
	}
	if len(known) == 0 {
		return p.Try("no pipeline is configured yet; start millrace with --pipelines and a folder that holds a pipeline.yaml")
	}
	return p.Try("there are: %s", list(known))
}

func list(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
