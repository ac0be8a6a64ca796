package relay_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/deploy/relay"
	"millrace.dev/events"
	"millrace.dev/functions/promote"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/triggers"
)

// patient never sends again within a test.
var patient = relay.Options{First: time.Hour, Max: time.Hour}

func letter(t *testing.T, left []events.Envelope) events.DeadLetterRecorded {
	t.Helper()
	if len(left) != 1 || left[0].Type != (events.DeadLetterRecorded{}).EventType() {
		t.Fatalf("got %+v", left)
	}
	return functiontest.Data[events.DeadLetterRecorded](t, left[0])
}

func TestSendsOnce(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	w.relay(t, patient)
	asked, ticked, approved := w.ask(t, 1), w.tick(t, 1), w.approve(t)
	requested := w.record(t, "evaluate", asked)
	w.record(t, "train-launcher", requested[0])
	w.record(t, "train-launcher", ticked)
	w.record(t, promote.Name, ticked)
	w.record(t, promote.Name, approved)
	// One request leads to both functions that are subscribed to ticks.
	for _, e := range []events.Envelope{asked, requested[0], ticked, approved} {
		if n := w.broker.count(e); n != 1 {
			t.Errorf("%s was sent %d times", e.Type, n)
		}
	}
}

func TestUnreachableFunction(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	w.broker.deaf = "evaluate"
	w.relay(t, relay.Options{First: 20 * time.Millisecond, Max: 40 * time.Millisecond, Attempts: 3, Window: 2})
	// More than the lane holds: each has its turn, and the other lanes go on.
	var asked []events.Envelope
	for n := range 6 {
		asked = append(asked, w.ask(t, 1+n))
	}
	w.record(t, promote.Name, w.tick(t, 1))
	for _, e := range asked {
		d := letter(t, w.record(t, "evaluate", e))
		if d.Attempts != 3 || d.Function != "evaluate" || d.Event.ID != e.ID || d.Rejected || !strings.Contains(d.Reason, "evaluate left no record") {
			t.Errorf("got %+v", d)
		}
		if n := w.broker.count(e); n != 3 {
			t.Errorf("it was sent %d times", n)
		}
		if d.First >= d.Last {
			t.Errorf("from %s to %s", d.First, d.Last)
		}
	}
}

func TestBrokerAway(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	w.broker.answer = http.StatusServiceUnavailable
	w.relay(t, relay.Options{First: time.Hour, Max: time.Hour, Attempts: 1})
	asked := w.ask(t, 1)
	w.until(t, "the broker refuses three times", func() bool {
		w.broker.mu.Lock()
		defer w.broker.mu.Unlock()
		return w.broker.refused >= 3
	})
	w.broker.set(func() { w.broker.answer = 0 })
	// No attempt was spent: the function had not been asked.
	if left := w.record(t, "evaluate", asked); left[0].Type != (events.TrainingRequested{}).EventType() {
		t.Errorf("got %+v", left)
	}
}

func TestBrokerRefusesForGood(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	w.broker.answer = http.StatusRequestEntityTooLarge
	w.relay(t, relay.Options{First: 10 * time.Millisecond, Max: 10 * time.Millisecond, Attempts: 2})
	d := letter(t, w.record(t, "evaluate", w.ask(t, 1)))
	if d.Attempts != 2 || !strings.Contains(d.Reason, "the broker refuses it: 413") || !strings.Contains(d.Reason, "not now") {
		t.Errorf("got %+v", d)
	}
}

// TestLater: what a function defers comes again when it said, neither earlier
// nor as an attempt, also when another relay is there by then.
func TestLater(t *testing.T) {
	t.Parallel()
	for _, c := range []string{"the same relay", "another relay"} {
		t.Run(c, func(t *testing.T) {
			w := newEnv(t)
			const wait = 400 * time.Millisecond
			var calls atomic.Int32
			var due atomic.Int64
			w.evaluate.evaluated = func(context.Context, events.Event[events.EvaluationRequested]) ([]events.Data, error) {
				if calls.Add(1) == 1 {
					due.Store(time.Now().Add(wait).UnixNano())
					return nil, function.Later(wait, errors.New("the hold-out is being cut"))
				}
				if early := due.Load() - time.Now().UnixNano(); early > 0 {
					t.Errorf("%s too early", time.Duration(early))
				}
				return function.Nothing("now it is")
			}
			o := relay.Options{First: time.Hour, Max: time.Hour, Attempts: 1}
			stop := w.relay(t, o)
			asked := w.ask(t, 1)
			w.WaitFor(t, pipeline, events.EventDeferred{}.EventType(), nil)
			if c == "another relay" {
				stop()
				w.relay(t, o)
			}
			if left := w.record(t, "evaluate", asked); left[0].Type != (events.EventHandled{}).EventType() {
				t.Errorf("got %+v", left)
			}
			if n := w.broker.count(asked); n != 2 {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}

// TestNextRelay: a relay that starts sends what has no record at once, and
// nothing else.
func TestNextRelay(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	w.broker.deaf = "evaluate"
	stop := w.relay(t, patient)
	lost, done := w.ask(t, 1), w.ask(t, 2)
	w.until(t, "the broker has both", func() bool { return w.broker.count(lost) == 1 && w.broker.count(done) == 1 })
	stop()
	// While no relay runs, the function handles one of them all the same.
	if _, err := w.Log.Append(t.Context(), eventlog.Commit{
		Pipeline: pipeline, Function: "evaluate", Handled: done.Header, Data: []events.Data{events.EventHandled{Event: done.ID, Function: "evaluate"}},
	}); err != nil {
		t.Fatal(err)
	}
	meanwhile := w.ask(t, 3)
	w.broker.set(func() { w.broker.deaf = "" })
	w.relay(t, patient)
	w.record(t, "evaluate", lost)
	w.record(t, "evaluate", meanwhile)
	for e, want := range map[*events.Envelope]int{&lost: 2, &done: 1, &meanwhile: 1} {
		if n := w.broker.count(*e); n != want {
			t.Errorf("%s was sent %d times, want %d", e.ID, n, want)
		}
	}
}

// TestForNobody: a dead letter that is sent again is for one function, and an
// imported event for none; the others are not waited for.
func TestForNobody(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	w.broker.deaf = "train-launcher"
	say := func(attributes map[string]string, n int) events.Envelope {
		t.Helper()
		done, err := w.Log.Append(t.Context(), eventlog.Commit{
			Pipeline: pipeline, Function: "gateway", Attributes: attributes,
			Data: []events.Data{events.ScheduleTicked{Schedule: "tick", Action: "tick", Due: time.Unix(int64(n), 0).UTC().Format(time.RFC3339), Pipeline: pipeline}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return done.Events[0]
	}
	imported := say(map[string]string{events.AttributeRecordedTime: "2020-01-01T00:00:00Z"}, 1)
	targeted := say(map[string]string{events.AttributeTarget: promote.Name}, 2)
	w.relay(t, relay.Options{First: 20 * time.Millisecond, Max: 20 * time.Millisecond, Attempts: 2})
	w.record(t, promote.Name, targeted)
	// By the time this one is a dead letter, those before it would be too.
	letter(t, w.record(t, "train-launcher", w.tick(t, 3)))
	for _, e := range w.all(t) {
		if e.CausationID == imported.ID || e.CausationID == targeted.ID && e.Function() == "train-launcher" {
			t.Errorf("somebody handled %s", e.Data)
		}
	}
	if n := w.broker.count(imported); n != 0 {
		t.Errorf("the imported event was sent %d times", n)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	gateway, err := triggers.For("gateway")
	if err != nil {
		t.Fatal(err)
	}
	evaluate, err := triggers.For("evaluate")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options relay.Options
		want    string
	}{
		{relay.Options{Broker: "here"}, "is not an HTTP URL"},
		{relay.Options{Broker: "http://b/", Triggers: []triggers.Trigger{gateway}}, "no trigger matches events of the log"},
		{relay.Options{Broker: "http://b/", Triggers: []triggers.Trigger{evaluate, evaluate}}, "two triggers have the subscriber evaluate"},
	} {
		if _, err := relay.New(w.Log, c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// TestMetricNames holds the names and labels of the relay's metrics: dashboards
// and alerts use them.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	if _, err := relay.New(functiontest.New(t).Log, relay.Options{Broker: "http://b/", Metrics: registry}); err != nil {
		t.Fatal(err)
	}
	functiontest.Golden(t, "testdata/metrics.txt", functiontest.Metrics(registry))
}
