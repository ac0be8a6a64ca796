package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"millrace.dev/events"
	"millrace.dev/shared/access"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/state"
)

// Deps is what a function works with, provided by the runtime.
type Deps struct {
	Log       *eventlog.Log
	States    *state.Store
	Artifacts *artifact.Store
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	// Guard decides which callers of the function's routes may do what.
	Guard *access.Guard
	// Traces makes the spans of handlings; nil for none.
	Traces trace.TracerProvider
	// Dir is the function's own working folder; its content may be lost.
	Dir string
	// Isolation is shared by the functions of a process; nil for one of its own.
	Isolation *Isolation
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
	turns    sync.Map // by pipeline: see again
}

// Retry configures how often and when a failed handling is tried again.
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

// pause returns how long to wait after the nth attempt.
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
	if d.Isolation == nil {
		d.Isolation = NewIsolation()
	}
	r := &Runtime{mux: m, deps: d, attempts: a, retry: retry}
	// From the outside in: an outer one sees the outcome of the inner ones.
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
	// Again means that the event may have been delivered before.
	Again bool
	// Before is the number of earlier deliveries that are known for certain.
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

// Handle handles one delivery to its end: when the outcome has no error, the log
// has its record.
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

// again is called before the nth decision on the same delivery. That the log
// has moved means that another handling was committed. Those of this process
// that have to decide again do so one at a time for each pipeline, else all but
// one would fold and decide for nothing; with those of other processes a random
// pause keeps them out of step. leave lets the next one decide.
func (r *Runtime) again(ctx context.Context, pipeline string, n int) (leave func(), err error) {
	leave = func() {}
	switch {
	case n == 1:
		v, _ := r.turns.LoadOrStore(pipeline, semaphore.NewWeighted(1))
		turn := v.(*semaphore.Weighted) //nolint:forcetypeassert // nothing else is stored
		if err := turn.Acquire(ctx, 1); err != nil {
			return leave, err
		}
		return func() { turn.Release(1) }, nil
	case n > 2:
		select {
		case <-time.After(rand.N(time.Millisecond << min(n-2, 6))):
		case <-ctx.Done():
			return leave, context.Cause(ctx)
		}
	}
	return leave, nil
}

// decide folds the state, calls the handler, and commits.
func (r *Runtime) decide(ctx context.Context, d Delivery) Outcome {
	reg, ok := r.mux.handlers[d.Type]
	if !ok {
		return Outcome{Err: Reject(fmt.Errorf("%s has no handler for %s", r.mux.name, d.Type))}
	}
	if d.Again && failpoint.Keeps(failpoint.Record) {
		found, err := r.deps.Log.Record(ctx, d.Pipeline, r.mux.name, events.CauseOf(d.Header))
		if err != nil {
			return Outcome{Err: err}
		}
		if len(found) > 0 {
			return Outcome{Events: found, Duplicate: true}
		}
	}
	for n := range maxDecisions {
		leave, err := r.again(ctx, d.Pipeline, n)
		if err != nil {
			return Outcome{Err: err}
		}
		defer leave()
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

// commit makes the handling's commit of what was emitted.
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
