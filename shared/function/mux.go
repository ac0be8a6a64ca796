package function

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// Mux holds a function's handlers by event type.
type Mux struct {
	name        string
	handlers    map[string]registration
	decidesOnly bool
}

// NewMux makes the mux of the named function. The name is the function's place
// in the log: "ingest", "train-launcher".
func NewMux(name string) *Mux { return &Mux{name: name, handlers: map[string]registration{}} }

// Name returns the function's name.
func (m *Mux) Name() string { return m.name }

// Types lists the event types that have a handler, sorted.
func (m *Mux) Types() []string { return slices.Sorted(maps.Keys(m.handlers)) }

// DecidesOnly marks a function whose handlers use only the event and the state.
// They run with higher concurrency because they share reads from the log's
// leader; handlers that read data would only queue while their timeout runs.
func (m *Mux) DecidesOnly() { m.decidesOnly = true }

// workers returns how many handlers run at a time: n unless it is 0.
func (m *Mux) workers(n int) int {
	switch {
	case n > 0:
		return n
	case m.decidesOnly:
		return 16 * runtime.GOMAXPROCS(0)
	}
	return 4 * runtime.GOMAXPROCS(0)
}

// registration is one handler with what it was registered with.
type registration struct {
	handle  func(context.Context, events.Envelope, *state.Pipeline) ([]events.Data, error)
	guards  []string
	timeout time.Duration
}

// Option sets how a handler is run.
type Option func(*registration)

// Guard declares that the decision depends on a noun ("dataset", "rollout"): if
// an event of it was appended between fold and commit, the handler is called
// again. A handler that emits events of a guarded noun must have its guard.
func Guard(noun string) Option {
	return func(r *registration) { r.guards = append(r.guards, noun) }
}

// Timeout bounds one call of the handler; 5 minutes by default. On Knative a
// delivery ends after 10 minutes in any case.
func Timeout(d time.Duration) Option {
	return func(r *registration) { r.timeout = d }
}

const defaultTimeout = 5 * time.Minute

// Handle registers h for the events whose data is In. It panics when In is
// already registered. h gets the event and the state of the event's pipeline
// as folded up to now, to be read only, and returns what to emit.
func Handle[In events.Data](m *Mux, h func(context.Context, events.Event[In], *state.Pipeline) ([]events.Data, error), opts ...Option) {
	var zero In
	name := zero.EventType()
	if _, ok := m.handlers[name]; ok {
		panic(fmt.Sprintf("function %s: a handler for %s is registered already", m.name, name))
	}
	r := registration{timeout: defaultTimeout}
	for _, o := range opts {
		o(&r)
	}
	r.handle = func(ctx context.Context, e events.Envelope, p *state.Pipeline) ([]events.Data, error) {
		in, err := events.Decode[In](e)
		if err != nil {
			return nil, Reject(err)
		}
		if err := in.Data.Validate(); err != nil {
			return nil, Reject(fmt.Errorf("%s is not valid: %w", e.Type, err))
		}
		return h(ctx, in, p)
	}
	m.handlers[name] = r
}

// Decide returns what the handler of the event would emit on the state, and
// commits nothing: for tests and replays. Guards of the commit have no sequence.
// The error is the handler's.
func (m *Mux) Decide(ctx context.Context, e events.Envelope, p *state.Pipeline) (eventlog.Commit, error) {
	reg, ok := m.handlers[e.Type]
	if !ok {
		return eventlog.Commit{}, fmt.Errorf("%s has no handler for %s", m.name, e.Type)
	}
	ctx, cancel := context.WithTimeout(ctx, reg.timeout)
	defer cancel()
	announced, err := reg.handle(ctx, e, p)
	if err != nil {
		return eventlog.Commit{}, err
	}
	c := m.commit(e, announced)
	for _, noun := range reg.guards {
		c.Guards = append(c.Guards, eventlog.Guard{Noun: noun})
	}
	return c, nil
}
