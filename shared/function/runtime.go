package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// Deps is what a function works with. The runtime makes it.
type Deps struct {
	Log       *eventlog.Log
	States    *state.Store
	Artifacts *artifact.Store
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	// Traces makes the spans of handlings; nil for none.
	Traces trace.TracerProvider
	// Dir is the function's own working folder; what lies in it may be lost.
	Dir string
	// Room is shared by the functions of a process; nil for one of its own.
	Room *Room
}

// Function is what a function package offers.
type Function interface {
	// Register registers the function's handlers.
	Register(*Mux)
}

// Runtime runs a function's handlers. It is safe for concurrent use.
type Runtime struct {
	mux      *Mux
	deps     Deps
	attempts *attempts
	retry    Retry
	handle   handler
}

// Retry says how often and when a failed handling is tried again.
type Retry struct {
	// Attempts after which the event is a dead letter.
	Attempts int
	// First is the pause after the first attempt; each later one is four
	// times as long, up to Max.
	First, Max time.Duration
}

// DefaultRetry tries for some twenty minutes, so that an outage of the object
// store does not end in dead letters.
var DefaultRetry = Retry{Attempts: 8, First: 500 * time.Millisecond, Max: 10 * time.Minute}

// pause is how long to wait after the nth attempt.
func (r Retry) pause(n int) time.Duration {
	d := r.First
	for range n - 1 {
		if d *= 4; d >= r.Max {
			return r.Max
		}
	}
	return d
}

// NewRuntime makes the runtime of a function.
func NewRuntime(ctx context.Context, m *Mux, d Deps, retry Retry) (*Runtime, error) {
	a, err := openAttempts(ctx, d.Log)
	if err != nil {
		return nil, fmt.Errorf("open the count of attempts: %w", err)
	}
	if d.Room == nil {
		d.Room = NewRoom()
	}
	r := &Runtime{mux: m, deps: d, attempts: a, retry: retry}
	// From the outside in: a later one sees what an inner one made of it.
	r.handle = chain(r.decide,
		measured(m.name, d.Metrics),
		logged(d.Logger),
		counted(r),
		traced(m.name, d.Traces),
		bounded(m),
		recovered(d.Logger),
	)
	return r, nil
}

// Delivery is one arrival of an event.
type Delivery struct {
	events.Envelope
	// Again says that the event may have been delivered before.
	Again bool
	// Before is how many deliveries there were before this one for certain.
	Before int
}

type handler func(context.Context, Delivery) Outcome

type middleware func(handler) handler

// chain wraps h, the first middleware outermost.
func chain(h handler, ms ...middleware) handler {
	for _, m := range slices.Backward(ms) {
		h = m(h)
	}
	return h
}

// Handle handles one delivery to its end: when the outcome has no error, its
// record stands in the log.
func (r *Runtime) Handle(ctx context.Context, d Delivery) Outcome {
	if t := d.Attributes["target"]; t != "" && t != r.mux.name {
		return Outcome{Duplicate: true} // sent again to another function
	}
	if d.Imported() {
		return Outcome{Duplicate: true} // handled where it came from, or not at all
	}
	if d.Pipeline == "" {
		d.Pipeline = events.NoPipeline
	}
	return r.handle(ctx, d)
}

// maxDecisions bounds how often one delivery is decided again because the log
// has moved.
const maxDecisions = 50

// decide folds, asks the handler, and commits.
func (r *Runtime) decide(ctx context.Context, d Delivery) Outcome {
	reg, ok := r.mux.handlers[d.Type]
	if !ok {
		return Outcome{Err: Reject(fmt.Errorf("%s has no handler for %s", r.mux.name, d.Type))}
	}
	if d.Again && recording {
		found, err := r.deps.Log.Record(ctx, d.Pipeline, r.mux.name, events.CauseOf(d.Header))
		if err != nil {
			return Outcome{Err: err}
		}
		if len(found) > 0 {
			return Outcome{Events: found, Duplicate: true}
		}
	}
	for range maxDecisions {
		view, err := r.deps.States.View(ctx, d.Pipeline)
		if err != nil {
			return Outcome{Err: err}
		}
		announced, err := reg.handle(ctx, d.Envelope, view.Pipeline)
		if err != nil {
			return Outcome{Err: err}
		}
		c := r.mux.commit(d.Envelope, announced)
		for _, noun := range reg.guards {
			c.Guards = append(c.Guards, view.Guard(noun))
		}
		done, err := r.deps.Log.Append(ctx, c)
		if errors.Is(err, eventlog.ErrMoved) {
			continue
		}
		if err != nil {
			return Outcome{Err: err}
		}
		return Outcome{Events: done.Events, Duplicate: done.Duplicate}
	}
	return Outcome{Err: fmt.Errorf("%s decided %d times and the log had moved on each time", r.mux.name, maxDecisions)}
}

// commit makes the handling's commit of what was announced.
func (m *Mux) commit(e events.Envelope, announced []events.Data) eventlog.Commit {
	if len(announced) == 0 {
		announced = []events.Data{events.EventHandled{Reason: "nothing to announce"}}
	}
	for i, a := range announced {
		if h, ok := a.(events.EventHandled); ok {
			h.Event, h.Type, h.Function = e.ID, e.Type, m.name
			announced[i] = h
		}
	}
	return eventlog.Commit{Pipeline: e.Pipeline, Function: m.name, Handled: e.Header, Data: announced}
}
