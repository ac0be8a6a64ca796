package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// maxListed bounds the events of one answer, and defaultListed is how many of
// the newest are given when neither limit nor from is said.
const (
	maxListed     = 10_000
	defaultListed = 100
)

// getEvents lists events in the order of the log, one JSON a line; with
// follow, it goes on with what comes. From a sequence on, or the newest limit.
// A client that accepts text/event-stream gets server-sent events.
func (f *F) getEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	filter := eventlog.Filter{Pipeline: q.Get("pipeline"), Types: typesIn(q["type"])}
	if filter.Pipeline != "" && filter.Pipeline != events.NoPipeline {
		if _, err := f.pipelineAt(r.Context(), filter.Pipeline, state.At{}); err != nil {
			return err
		}
	}
	var err error
	if filter.From, err = sequence(q.Get("from")); err != nil {
		return refuse(http.StatusBadRequest, "from=%.60s is not a sequence of the log", q.Get("from"))
	}
	on, _ := strconv.ParseBool(q.Get("follow"))
	limit, err := limitOf(q.Get("limit"), filter.From > 0, on)
	if err != nil {
		return err
	}
	out := newStream(w, r)
	if filter.From == 0 {
		newest, last, err := f.newest(r, filter, limit)
		if err != nil {
			return err
		}
		for _, e := range newest {
			if !out.send(e) {
				return nil
			}
		}
		filter.From = last + 1
	} else {
		n := 0
		for e, err := range f.Log.Read(r.Context(), filter) {
			if n++; err != nil || n > limit || !out.send(e) {
				return out.end(err)
			}
			filter.From = e.Sequence + 1
		}
	}
	if !on {
		return nil
	}
	return f.follow(r, filter, out)
}

// limitOf is how many events are listed before a follower waits for more: the
// newest ones, or all from a sequence on.
func limitOf(v string, from, follow bool) (int, error) {
	switch {
	case v == "" && from && follow:
		return math.MaxInt, nil
	case v == "" && from:
		return maxListed, nil
	case v == "":
		return defaultListed, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxListed {
		return 0, refuse(http.StatusBadRequest, "limit=%.60s is not a number from 0 to %d", v, maxListed)
	}
	return n, nil
}

// typesIn are the types of the query: whole, or as noun.past.
func typesIn(values []string) []string {
	var out []string
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t == "" {
				continue
			}
			for _, known := range events.Catalogue() {
				if t == known.Noun()+"."+known.Past() {
					t = known.Name
				}
			}
			out = append(out, t)
		}
	}
	return out
}

// newest are the last n events that the filter chooses, and the sequence of
// the last one there is, 0 if there is none.
func (f *F) newest(r *http.Request, filter eventlog.Filter, n int) (found []events.Envelope, last uint64, err error) {
	for e, err := range f.Log.Read(r.Context(), filter) {
		if err != nil {
			return nil, 0, err
		}
		last = e.Sequence
		if found = append(found, e); len(found) > 2*n {
			found = append(found[:0], found[len(found)-n:]...)
		}
	}
	return found[max(0, len(found)-n):], last, nil
}

// follow goes on with what comes, until the client goes away or the server ends.
func (f *F) follow(r *http.Request, filter eventlog.Filter, out *stream) error {
	f.watchShutdown(r)
	ctx, cancel := contextUntil(r.Context(), f.ending)
	defer cancel()
	out.flush()
	for e, err := range f.Log.Follow(ctx, filter) {
		if err != nil || !out.send(e) {
			return out.end(err)
		}
		out.flush()
	}
	return nil
}

// watchShutdown lets followers end when their server shuts down, which waits
// for them.
func (f *F) watchShutdown(r *http.Request) {
	f.watchOnce.Do(func() {
		if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
			s.RegisterOnShutdown(f.end)
		}
	})
}

// stream writes events as they come: JSON lines, or server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sse     bool
	begun   bool
}

// writeWithin bounds how long one event may take to be written to a client.
const writeWithin = 30 * time.Second

func newStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{w: w, control: http.NewResponseController(w), sse: strings.Contains(r.Header.Get("Accept"), "text/event-stream")}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if s.sse {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
	}
	return s
}

// send writes one event, and tells whether the client is still there.
func (s *stream) send(e events.Envelope) bool {
	b, err := json.Marshal(shown(e))
	if err != nil {
		return false
	}
	s.begun = true
	_ = s.control.SetWriteDeadline(time.Now().Add(writeWithin))
	if s.sse {
		_, err = fmt.Fprintf(s.w, "id: %d\nevent: %s\ndata: %s\n\n", e.Sequence, strings.Map(oneLine, e.Type), b)
	} else {
		_, err = s.w.Write(append(b, '\n'))
	}
	return err == nil
}

func oneLine(r rune) rune {
	if r < ' ' {
		return -1
	}
	return r
}

func (s *stream) flush() {
	s.begun = true
	_ = s.control.SetWriteDeadline(time.Now().Add(writeWithin))
	_ = s.control.Flush()
}

// end says what went wrong, if it still can be said.
func (s *stream) end(err error) error {
	if err != nil && s.begun {
		// The client must not take half a list for the whole.
		panic(http.ErrAbortHandler)
	}
	return err
}

// shown is an event as the API shows it: with its place in the log.
func shown(e events.Envelope) events.Envelope {
	e.Attributes = maps.Clone(e.Attributes)
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	e.Attributes["sequence"] = strconv.FormatUint(e.Sequence, 10)
	return e
}

func (f *F) getEvent(w http.ResponseWriter, r *http.Request) error {
	e, err := f.find(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	b, err := json.Marshal(shown(e))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/cloudevents+json")
	_, _ = w.Write(append(b, '\n'))
	return nil
}

// find gives the event whose id is the given one, or begins with it.
func (f *F) find(r *http.Request, id string) (events.Envelope, error) {
	var found []events.Envelope
	for e, err := range f.Log.Read(r.Context(), eventlog.Filter{Pipeline: r.URL.Query().Get("pipeline")}) {
		if err != nil {
			return events.Envelope{}, err
		}
		if e.ID == id {
			return e, nil
		}
		if len(id) >= minPrefix && strings.HasPrefix(e.ID, id) && len(found) <= maxAmbiguous {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return events.Envelope{}, refuse(http.StatusNotFound, "the log has no event %q", id).try("an id, or at least %d characters of its beginning", minPrefix)
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, e := range found {
		ids = append(ids, e.ID)
	}
	return events.Envelope{}, ambiguous(id, ids)
}

const maxAmbiguous = 10

func ambiguous(id string, what []string) error {
	return refuse(http.StatusConflict, "%q can be several", id).try("write more of it: %s", list(what))
}

// aVersion is how a person writes a version: v3, or flights/v3.
var aVersion = regexp.MustCompile(`^(?:([a-z0-9-]+)/)?v([0-9]{1,9})$`)

func (f *F) getWhy(w http.ResponseWriter, r *http.Request) error {
	word := r.PathValue("id")
	pipeline := r.URL.Query().Get("pipeline")
	if m := aVersion.FindStringSubmatch(word); m != nil {
		p, version, err := f.versionOf(r, m[1], pipeline, m[2])
		if err != nil {
			return err
		}
		pipeline, word = p.Name, p.Model(version).Event
	}
	h := newHistory()
	for e, err := range f.Log.Read(r.Context(), eventlog.Filter{Pipeline: pipeline}) {
		if err != nil {
			return err
		}
		h.add(e)
	}
	found := h.find(word)
	switch {
	case len(found) == 0:
		return refuse(http.StatusNotFound, "the log knows nothing of %q", word).
			try("an event's id, a run, a version (flights/v2), a snapshot's or partition's digest, or an upload's key")
	case len(found) > 1:
		var what []string
		for _, n := range found {
			what = append(what, n.id+" ("+n.summary+")")
		}
		return ambiguous(word, what)
	}
	writeJSON(w, http.StatusOK, h.why(found[0]))
	return nil
}

// versionOf finds the pipeline and version that a person means: the only
// pipeline need not be named.
func (f *F) versionOf(r *http.Request, named, asked, digits string) (*state.Pipeline, int, error) {
	if named == "" {
		named = asked
	}
	if named == "" {
		known, err := f.Log.Pipelines(r.Context())
		if err != nil {
			return nil, 0, err
		}
		if len(known) != 1 {
			return nil, 0, ambiguous("v"+digits, known)
		}
		named = known[0]
	}
	p, err := f.pipeline(r.Context(), named)
	if err != nil {
		return nil, 0, err
	}
	version, err := strconv.Atoi(digits)
	if err != nil {
		return nil, 0, err
	}
	return p, version, hasVersion(p, version)
}

func hasVersion(p *state.Pipeline, version int) error {
	switch {
	case p.Model(version) != nil:
		return nil
	case len(p.Models) == 0:
		return refuse(http.StatusNotFound, "the pipeline %s has no model yet", p.Name)
	}
	return refuse(http.StatusNotFound, "the pipeline %s has no v%d; it has v1 to v%d", p.Name, version, len(p.Models))
}

// getRunLog gives what a trainer printed.
func (f *F) getRunLog(w http.ResponseWriter, r *http.Request) (err error) {
	ps, err := f.asked(r)
	if err != nil {
		return err
	}
	id := r.PathValue("run")
	var run *state.Run
	for _, p := range ps {
		if found := p.Run(id); found != nil {
			run = found
		}
	}
	if run == nil {
		return refuse(http.StatusNotFound, "there is no run %q", id)
	}
	w.Header().Set("Content-Type", mime.FormatMediaType("text/plain", map[string]string{"charset": "utf-8"}))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if run.Log.IsZero() {
		if run.Status == state.RunStarted {
			return refuse(http.StatusNotFound, "the run %s has not ended; its log is kept when it does", id)
		}
		_, err = io.WriteString(w, run.LogTail)
		return err
	}
	log, err := f.Artifacts.Open(r.Context(), run.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if _, err := io.Copy(w, log); err != nil {
		panic(http.ErrAbortHandler) // half a log must not look whole
	}
	return nil
}
