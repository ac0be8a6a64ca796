package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// checker handles predictions, as promote and drift-check do, and refuses them
// while it is broken.
type checker struct {
	broken  atomic.Bool
	handled chan string // ids
}

func (c *checker) Register(m *function.Mux) {
	function.Handle(m, func(_ context.Context, e events.Event[events.PredictionsLogged], _ *state.Pipeline) ([]events.Data, error) {
		if c.broken.Load() {
			return nil, errors.New("the bucket is gone")
		}
		c.handled <- e.ID
		return function.Nothing("seen")
	})
}

// next is the next event that was handled.
func (c *checker) next(t *testing.T) string {
	t.Helper()
	select {
	case id := <-c.handled:
		return id
	case <-time.After(20 * time.Second):
		t.Fatal("no event came within 20 s")
		return ""
	}
}

func predictions(digit string) events.PredictionsLogged {
	batch := events.Ref{URL: "b", Digest: "sha256:" + strings.Repeat(digit, 64), Size: 1}
	return events.PredictionsLogged{Batch: batch, Rows: 1, From: "2026-03-01T00:00:00Z", To: "2026-03-01T00:00:01Z"}
}

func newChecker() *checker { return &checker{handled: make(chan string, 100)} }

// A dead letter is sent again to the function that gave it up and to no other,
// however long ago it failed: no window of JetStream's has a say in it.
func TestRetryReachesItsFunctionOnly(t *testing.T) {
	t.Parallel()
	for name, window := range map[string]time.Duration{"within the duplicate window": 2 * time.Minute, "past the duplicate window": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			r := newEnv(t, settings(), flights)
			js := r.Log.JetStream()
			s, err := js.Stream(t.Context(), eventlog.Stream)
			if err != nil {
				t.Fatal(err)
			}
			c := s.CachedInfo().Config
			c.Duplicates = window
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			promote, drift := newChecker(), newChecker()
			promote.broken.Store(true)
			r.Run(t, promote, "promote")
			r.Run(t, drift, "drift-check")

			logged := r.Announce(t, "flights", "inference", predictions("a"))[0]
			if got := drift.next(t); got != logged.ID {
				t.Fatalf("drift-check handled %s", got)
			}
			letter := r.WaitFor(t, "flights", events.DeadLetterRecorded{}.EventType(), nil)
			d := functiontest.Data[events.DeadLetterRecorded](t, letter)
			first, err1 := time.Parse(time.RFC3339Nano, d.First)
			last, err2 := time.Parse(time.RFC3339Nano, d.Last)
			if d.Function != "promote" || d.Event.ID != logged.ID || d.Attempts != functiontest.Retry.Attempts || d.Reason != "the bucket is gone" ||
				err1 != nil || err2 != nil || !last.After(first) {
				t.Errorf("%+v", d)
			}
			if window < time.Minute {
				<-time.After(3 * window) // what is waited for is time itself
			}

			promote.broken.Store(false)
			again := decode[struct{ Event string }](r.post("/api/deadletters/"+letter.ID+"/retry", `{"by":"anna"}`).is(200)).Event
			r.post("/api/deadletters/"+letter.ID+"/retry", `{"by":"anna"}`).is(404, "no open dead letter")
			if got := promote.next(t); got != again {
				t.Errorf("promote handled %s, want the new event %s", got, again)
			}
			// Whatever comes later has passed drift-check after the retry did.
			other := r.Announce(t, "flights", "inference", predictions("b"))[0]
			if got := drift.next(t); got != other.ID {
				t.Errorf("drift-check handled %s, which was sent again to promote", got)
			}
			if got := promote.next(t); got != other.ID {
				t.Errorf("promote handled %s", got)
			}
			sent := r.Events(t, "flights", logged.Type)
			if len(sent) != 3 || sent[1].Attributes[events.AttributeTarget] != "promote" || len(r.State(t, "flights").DeadLetters) != 0 {
				t.Errorf("%+v", sent)
			}
		})
	}
}

// An event that fails is seen from its first failure on until it was handled or
// given up.
func TestFailingEventsAreSeen(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights, copycat)
	failing := func() []api.Failing { return decode[api.Status](r.get("/api/status").is(200)).Failing }
	if got := failing(); got == nil || len(got) != 0 {
		t.Errorf("before anything failed: %+v", got)
	}
	promote := newChecker()
	promote.broken.Store(true)
	mended := r.Announce(t, "flights", "inference", predictions("a"))[0]
	lost := r.Announce(t, "copycat", "inference", predictions("b"))[0]
	for attempt := 1; attempt < functiontest.Retry.Attempts; attempt++ {
		for _, e := range []events.Envelope{mended, lost} {
			if o := r.Deliver(t, promote, "promote", e); o.Err == nil {
				t.Fatal("the handling succeeds")
			}
		}
		got := failing()
		if len(got) != 2 || got[0].Event != mended.ID || got[1].Pipeline != "copycat" {
			t.Fatalf("after %d attempts: %+v", attempt, got)
		}
		if f := got[0]; f.Function != "promote" || f.Attempt != attempt || f.Attempts != functiontest.Retry.Attempts || f.Reason != "the bucket is gone" ||
			f.Type != mended.Type || f.Subject != mended.Subject || f.Next.Before(f.First) {
			t.Errorf("after %d attempts: %+v", attempt, f)
		}
	}
	if got := decode[api.Status](r.get("/api/status?pipeline=copycat").is(200)).Failing; len(got) != 1 || got[0].Event != lost.ID {
		t.Errorf("of one pipeline: %+v", got)
	}
	if got := decode[api.Status](r.get("/api/status?seq=1").is(200)).Failing; len(got) != 0 {
		t.Errorf("of the past: %+v", got)
	}
	if o := r.Deliver(t, promote, "promote", lost); o.Err != nil { // its last attempt
		t.Error(o.Err)
	}
	promote.broken.Store(false)
	if o := r.Deliver(t, promote, "promote", mended); o.Err != nil {
		t.Error(o.Err)
	}
	if got := failing(); len(got) != 0 {
		t.Errorf("after all were handled or given up: %+v", got)
	}
}

func TestDeadLettersAreCounted(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	b.ConfigureYAML(t, flights)
	deps := b.Deps(t, gateway.Name)
	registry := prometheus.NewRegistry()
	deps.Metrics = registry
	if _, err := gateway.New(settings(), deps); err != nil {
		t.Fatal(err)
	}
	waiting := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "millrace_dead_letters"); err != nil {
			t.Error(err)
		}
	}
	const head = "# HELP millrace_dead_letters Dead letters that have been neither sent again nor dropped.\n# TYPE millrace_dead_letters gauge\n"
	waiting("")
	e := b.Announce(t, "flights", "gateway", events.EvaluationRequested{Version: 1})[0]
	var letters []events.Envelope
	for _, name := range []string{"ingest", "evaluate", "evaluate"} {
		letters = append(letters, b.Announce(t, "flights", name, events.DeadLetterRecorded{Event: e, Function: name, Attempts: 8, Reason: "gone"})...)
	}
	waiting(head + `millrace_dead_letters{function="evaluate",pipeline="flights"} 2` + "\n" + `millrace_dead_letters{function="ingest",pipeline="flights"} 1` + "\n")
	b.Announce(t, "flights", "gateway", events.DeadLetterClosed{DeadLetter: letters[0].ID, Action: "dropped"})
	waiting(head + `millrace_dead_letters{function="evaluate",pipeline="flights"} 2` + "\n" + `millrace_dead_letters{function="ingest",pipeline="flights"} 0` + "\n")
}
