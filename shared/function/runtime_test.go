package function_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// eventually polls, with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for ctx := functiontest.Context(t); !ok(); {
		select {
		case <-ctx.Done():
			t.Fatalf("it never came to pass that %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// start starts the subject by pull. The caller stops it.
func start(t *testing.T, f function.Function, deps function.Deps, o function.StartOptions) *function.Instance {
	t.Helper()
	o.Trigger = trigger
	in, err := function.Start(t.Context(), "subject", f, deps, o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func stop(t *testing.T, in *function.Instance, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return in.Stop(ctx)
}

// TestLongHandling: a handler that runs longer than the ack wait runs once, and
// so does an event that waits that long for its worker.
func TestLongHandling(t *testing.T) {
	t.Parallel()
	const ackWait = 300 * time.Millisecond
	b := functiontest.New(t)
	begun := make(chan int, 10)
	s := &subject{calls: map[int]int{}, handle: func(ctx context.Context, _ int, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
		begun <- e.Data.Version
		select {
		case <-time.After(4 * ackWait):
			return announce(fmt.Sprint(e.Data.Version))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	asked := []events.Envelope{
		b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0],
		b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 2})[0],
	}
	in := start(t, s, b.Deps(t, "subject"), function.StartOptions{Workers: 1, AckWait: ackWait, Retry: functiontest.Retry})
	for _, e := range asked {
		record(t, b, "subject", e)
	}
	consumer, err := b.Log.JetStream().Consumer(t.Context(), "EVENTS", "subject")
	if err != nil {
		t.Fatal(err)
	}
	info, err := consumer.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.NumRedelivered != 0 || info.Delivered.Consumer != 2 {
		t.Errorf("%d deliveries, %d of them again", info.Delivered.Consumer, info.NumRedelivered)
	}
	if err := stop(t, in, time.Minute); err != nil {
		t.Error(err)
	}
	close(begun)
	var order []int
	for v := range begun {
		order = append(order, v)
	}
	if !slices.Equal(order, []int{1, 2}) {
		t.Errorf("the handler ran for %v", order)
	}
}

// TestShutdownMakesNoDeadLetter: however often an orderly stop interrupts a
// handling, the event is not given up for it.
func TestShutdownMakesNoDeadLetter(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	asked := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0]
	once := function.Retry{Attempts: 1, First: time.Millisecond, Max: time.Millisecond}
	for range 5 {
		begun := make(chan struct{}, 10)
		s := &subject{calls: map[int]int{}, handle: func(ctx context.Context, _ int, _ events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		in := start(t, s, b.Deps(t, "subject"), function.StartOptions{Retry: once})
		given := func() bool {
			left, err := b.Log.Record(t.Context(), pipeline, "subject", events.CauseOf(asked.Header))
			return err != nil || len(left) > 0
		}
		eventually(t, "the event is delivered again or given up", func() bool { return len(begun) > 0 || given() })
		if err := stop(t, in, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "they are delivered again") {
			t.Errorf("the stop that interrupts a handler returns %v", err)
		}
		if left, err := b.Log.Record(t.Context(), pipeline, "subject", events.CauseOf(asked.Header)); err != nil || len(left) > 0 {
			t.Fatalf("an interrupted handling left %+v, %v", left, err)
		}
	}
	s := &subject{calls: map[int]int{}, handle: func(context.Context, int, events.Event[events.EvaluationRequested], *state.Pipeline) ([]events.Data, error) {
		return announce("at last")
	}}
	in := start(t, s, b.Deps(t, "subject"), function.StartOptions{Retry: once})
	if left := record(t, b, "subject", asked); left[0].Type != (events.TrainingRequested{}).EventType() {
		t.Errorf("left %+v", left)
	}
	if err := stop(t, in, time.Minute); err != nil {
		t.Error(err)
	}
}

// TestTraceContinues: the spans of a chain over two functions belong to the
// trace that its first event carries.
func TestTraceContinues(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	asked := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0]
	handle := func(name string, register func(*function.Mux), e events.Envelope) events.Envelope {
		t.Helper()
		m := function.NewMux(name)
		register(m)
		deps := b.Deps(t, name)
		deps.Traces = provider
		r, err := function.NewRuntime(t.Context(), m, deps, functiontest.Retry)
		if err != nil {
			t.Fatal(err)
		}
		o := r.Handle(t.Context(), function.Delivery{Envelope: e})
		if o.Err != nil || len(o.Events) != 1 {
			t.Fatalf("got %+v", o)
		}
		return o.Events[0]
	}
	requested := handle("first", func(m *function.Mux) {
		function.Handle(m, func(context.Context, events.Event[events.EvaluationRequested], *state.Pipeline) ([]events.Data, error) {
			return announce("on")
		})
	}, asked)
	handle("second", func(m *function.Mux) {
		function.Handle(m, func(context.Context, events.Event[events.TrainingRequested], *state.Pipeline) ([]events.Data, error) {
			return nil, function.Reject(errors.New("no further"))
		})
	}, requested)

	got := spans.GetSpans()
	if len(got) != 2 {
		t.Fatalf("%d spans", len(got))
	}
	for i, want := range []string{"process " + asked.Type, "process " + requested.Type} {
		s := got[i]
		if s.Name != want {
			t.Errorf("span %d is %q, want %q", i, s.Name, want)
		}
		parent := fmt.Sprintf("00-%s-%s-01", s.SpanContext.TraceID(), s.Parent.SpanID())
		if asked.TraceParent == "" || parent != asked.TraceParent || !s.Parent.IsRemote() {
			t.Errorf("span %d has the parent %s, the chain is %s", i, parent, asked.TraceParent)
		}
		attributes := map[string]string{}
		for _, a := range s.Attributes {
			attributes[string(a.Key)] = a.Value.String()
		}
		for k, v := range map[string]string{
			"cloudevents.event_id": []string{asked.ID, requested.ID}[i], "faas.name": []string{"first", "second"}[i], "millrace.announced": []string{"1", "0"}[i],
		} {
			if attributes[k] != v {
				t.Errorf("span %d has %s = %q, want %q", i, k, attributes[k], v)
			}
		}
	}
	if got[1].Status.Description != "no further" {
		t.Errorf("the span of a failed handling has the status %+v", got[1].Status)
	}
}

// TestMetricNames holds the names and labels of the runtime's metrics:
// dashboards and alerts use them.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	m := function.NewMux("subject")
	(&subject{}).Register(m)
	deps := b.Deps(t, "subject")
	registry := prometheus.NewRegistry()
	deps.Metrics = registry
	r, err := function.NewRuntime(t.Context(), m, deps, functiontest.Retry)
	if err != nil {
		t.Fatal(err)
	}
	function.Receiver(r, trigger)
	functiontest.Golden(t, "testdata/metrics.txt", functiontest.Metrics(registry))
}

// TestOutcomesAreCounted: each outcome is counted under its own name.
func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	outcome := map[int]error{1: nil, 2: errors.New("away"), 3: function.Later(time.Millisecond, errors.New("wait")), 4: function.Reject(errors.New("never"))}
	s := &subject{calls: map[int]int{}, handle: func(_ context.Context, _ int, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
		if err := outcome[e.Data.Version]; err != nil {
			return nil, err
		}
		return announce("done")
	}}
	m := function.NewMux("subject")
	s.Register(m)
	deps := b.Deps(t, "subject")
	registry := prometheus.NewRegistry()
	deps.Metrics = registry
	r, err := function.NewRuntime(t.Context(), m, deps, functiontest.Retry)
	if err != nil {
		t.Fatal(err)
	}
	for version := range 4 {
		e := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: version + 1})[0]
		r.Handle(t.Context(), function.Delivery{Envelope: e})
		if version == 0 {
			r.Handle(t.Context(), function.Delivery{Envelope: e, Again: true})
		}
	}
	want := map[string]float64{"handled": 1, "duplicate": 1, "retried": 1, "deferred": 1, "deadletter": 1}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if f.GetName() == "millrace_events_handled_total" && l.GetName() == "outcome" {
					got[l.GetValue()] += metric.GetCounter().GetValue()
				}
			}
		}
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %v, want %v", name, got[name], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("counted %v", got)
	}
}
