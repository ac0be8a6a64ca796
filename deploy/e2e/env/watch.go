package env

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

// Watch follows the log of one pipeline from the time it was created. It only moves
// forward: an event that was waited for is not returned again.
type Watch struct {
	pipeline string
	from     uint64
	next     func() (events.Envelope, error, bool)
	cancel   context.CancelCauseFunc
	seen     []events.Envelope
}

// Watch begins to follow the pipeline.
func (s *System) Watch(t testing.TB, pipeline string) *Watch {
	t.Helper()
	last, err := s.LastSequence(Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.WatchFrom(t, pipeline, last+1)
}

// WatchFrom follows the pipeline from a place in the log.
func (s *System) WatchFrom(t testing.TB, pipeline string, from uint64) *Watch {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	next, stop := iter.Pull2(s.Follow(ctx, client.Query{Pipeline: pipeline, From: from}))
	t.Cleanup(func() { cancel(errors.New("the test has ended")); stop() })
	return &Watch{pipeline: pipeline, from: from, next: next, cancel: cancel}
}

// Next returns the next event for which ok returns true.
func (w *Watch) Next(t testing.TB, what string, ok func(events.Envelope) bool) events.Envelope {
	t.Helper()
	timer := time.AfterFunc(patience, func() { w.cancel(fmt.Errorf("nothing came for %s", patience)) })
	defer timer.Stop()
	for {
		e, err, more := w.next()
		if err == nil && !more {
			err = errors.New("the log ended")
		}
		if err != nil {
			t.Fatalf("%s: no %s: %v; what came:\n%s", w.pipeline, what, err, w.recent())
		}
		w.seen = append(w.seen, e)
		if ok(e) {
			return e
		}
	}
}

// recent returns the last events that were seen, one per line.
func (w *Watch) recent() string {
	var b strings.Builder
	for _, e := range w.seen[max(0, len(w.seen)-30):] {
		fmt.Fprintf(&b, "  %5d %-45s %s\n", e.Sequence, e.Type, summary.Of(e))
	}
	return b.String()
}

// failures are the types that end a chain in another way than it should.
func failures() []string {
	return []string{
		events.PartitionRejected{}.EventType(), events.TrainingFailed{}.EventType(), events.ModelRejected{}.EventType(),
		events.DeadLetterRecorded{}.EventType(),
	}
}

// Await returns the next event of type T for which all of ok return true. An event
// of a failure ends the test, unless the test waits for that type.
func Await[T events.Data](t testing.TB, w *Watch, ok ...func(T) bool) events.Event[T] {
	t.Helper()
	var zero T
	name, failed := zero.EventType(), failures()
	e := w.Next(t, name, func(e events.Envelope) bool {
		if e.Type != name && slices.Contains(failed, e.Type) {
			t.Fatalf("%s: no %s came, but: %s", w.pipeline, name, summary.Of(e))
		}
		if e.Type != name {
			return false
		}
		d := decode[T](t, e)
		return !slices.ContainsFunc(ok, func(ok func(T) bool) bool { return !ok(d.Data) })
	})
	return decode[T](t, e)
}

func decode[T events.Data](t testing.TB, e events.Envelope) events.Event[T] {
	t.Helper()
	d, err := events.Decode[T](e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Pipeline is the one that is followed.
func (w *Watch) Pipeline() string { return w.pipeline }

// From is where in the log it began.
func (w *Watch) From() uint64 { return w.from }

// Newest is the last event that was seen.
func (w *Watch) Newest() events.Envelope { return w.seen[len(w.seen)-1] }

// Settle waits until nothing is under way in the whole system: every function
// has handled the events that it subscribes to, and every run has ended.
func (s *System) Settle(t testing.TB) {
	t.Helper()
	ledger, err := checker.NewLedger()
	if err != nil {
		t.Fatal(err)
	}
	for w := (*Watch)(nil); ; {
		last, err := ledger.Follow(Context(t), http.DefaultClient, s.Server())
		if err != nil {
			t.Fatal(err)
		}
		open := ledger.Open()
		if len(open) == 0 {
			return
		}
		if w == nil {
			w = s.WatchFrom(t, "", last+1)
		}
		w.Next(t, "end of: "+strings.Join(open, "; "), func(events.Envelope) bool { return true })
	}
}
