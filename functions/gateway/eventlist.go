package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// maxListed bounds the events of one answer; defaultListed is the number of
// newest events without limit and from.
const (
	maxListed     = 10_000
	defaultListed = 100
)

// getEvents lists events in the order of the log, one JSON a line: from a
// sequence on, or the newest ones. With follow, it continues with what is
// appended. A client that accepts text/event-stream gets server-sent events.
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
		return httperror.New(http.StatusBadRequest, "from=%.60s is not a sequence of the log", q.Get("from"))
	}
	on, _ := strconv.ParseBool(q.Get("follow"))
	limit, err := limitOf(q.Get("limit"), filter.From > 0, on)
	if err != nil {
		return err
	}
	out := newStream(w, r)
	list := f.sendFrom
	if filter.From == 0 {
		list = f.sendNewest
	}
	if filter.From, err = list(r.Context(), filter, limit, out); err == nil && on {
		err = f.follow(r, filter, out)
	}
	return out.end(err)
}

// sendFrom sends at most limit events from the filter's sequence on, and
// returns the sequence after the last one.
func (f *F) sendFrom(ctx context.Context, filter eventlog.Filter, limit int, out *stream) (next uint64, err error) {
	next = filter.From
	n := 0
	for e, err := range f.deps.Log.Read(ctx, filter) {
		if err != nil {
			return next, err
		}
		if n++; n > limit {
			break
		}
		if err := out.send(e); err != nil {
			return next, err
		}
		next = e.Sequence + 1
	}
	return next, nil
}

// sendNewest sends the newest events, at most limit of them, and returns the
// sequence after the last one.
func (f *F) sendNewest(ctx context.Context, filter eventlog.Filter, limit int, out *stream) (next uint64, err error) {
	var found []events.Envelope
	for e, err := range f.deps.Log.Read(ctx, filter) {
		if err != nil {
			return 0, err
		}
		next = e.Sequence
		if found = append(found, e); len(found) > 2*limit {
			found = append(found[:0], found[len(found)-limit:]...)
		}
	}
	for _, e := range found[max(0, len(found)-limit):] {
		if err := out.send(e); err != nil {
			return 0, err
		}
	}
	return next + 1, nil
}

// limitOf returns how many events are listed before a follower waits for more:
// the newest ones, or all from a sequence on.
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
		return 0, httperror.New(http.StatusBadRequest, "limit=%.60s is not a number from 0 to %d", v, maxListed)
	}
	return n, nil
}

// typesIn returns the types in the query: complete, or as noun.past.
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

// follow sends what is appended, until the client goes away or the server ends.
func (f *F) follow(r *http.Request, filter eventlog.Filter, out *stream) error {
	f.watchShutdown(r)
	ctx, cancel := contextUntil(r.Context(), f.ending)
	defer cancel()
	out.flush()
	for e, err := range f.deps.Log.Follow(ctx, filter) {
		if err != nil {
			return err
		}
		if err := out.send(e); err != nil {
			return err
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
	lineWriter
	sse bool
}

// writeWithin bounds how long one event may take to be written to a client.
const writeWithin = 30 * time.Second

func newStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{lineWriter{w: w, control: http.NewResponseController(w)}, strings.Contains(r.Header.Get("Accept"), "text/event-stream")}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if s.sse {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
	}
	return s
}

// send writes one event. The error is errGone when the client has gone away.
func (s *stream) send(e events.Envelope) error {
	b, err := json.Marshal(shown(e))
	if err != nil {
		return fmt.Errorf("event %d of the log: %w", e.Sequence, err)
	}
	if s.sse {
		b = fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n", e.Sequence, strings.Map(oneLine, e.Type), b)
	}
	if _, err := s.Write(append(b, '\n')); err != nil {
		return errGone
	}
	return nil
}

// errGone means that the client has gone away and needs no answer.
var errGone = errors.New("the client has gone away")

func oneLine(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}

// end reports an error if that is still possible: a list that has begun is
// aborted, so that it does not look complete.
func (s *stream) end(err error) error {
	switch {
	case errors.Is(err, errGone):
		return nil
	case err != nil && s.begun:
		panic(http.ErrAbortHandler)
	}
	return err
}

// attributeSequence is the attribute in which the API shows an event's sequence.
const attributeSequence = "sequence"

// shown is an event as the API shows it: with its place in the log.
func shown(e events.Envelope) events.Envelope {
	e.Attributes = maps.Clone(e.Attributes)
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	e.Attributes[attributeSequence] = strconv.FormatUint(e.Sequence, 10)
	return e
}
