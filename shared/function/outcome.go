package function

import (
	"errors"
	"fmt"
	"time"

	"millrace.dev/events"
)

// Nothing is what a handler returns when there is nothing to emit. The log
// keeps the reason, as event.handled.
func Nothing(format string, args ...any) ([]events.Data, error) {
	return []events.Data{events.EventHandled{Reason: fmt.Sprintf(format, args...)}}, nil
}

// Reject marks an event that can never be handled: it becomes a dead letter
// with err as the reason. Do not use it for invalid user data; emit a rejection
// event instead.
func Reject(err error) error { return &rejected{err} }

type rejected struct{ error }

func (r *rejected) Unwrap() error { return r.error }

// Later requests the event again after d; this does not count as an attempt.
// err is what the handler waits for.
func Later(d time.Duration, err error) error { return &later{err, d} }

type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

// Outcome is the result of one delivery.
type Outcome struct {
	// Events are the events that the handling committed, a dead letter included.
	Events []events.Envelope
	// Duplicate means that the event had been handled before.
	Duplicate bool
	// Err is set when the event must be delivered again, After is when.
	Err   error
	After time.Duration
	// Deferred distinguishes Later from an error.
	Deferred bool
}

// name is the outcome's label in the metrics.
func (o Outcome) name() string {
	switch {
	case o.Deferred:
		return "deferred"
	case o.Err != nil:
		return "retried"
	case o.Duplicate:
		return "duplicate"
	case len(o.Events) == 1 && o.Events[0].Type == events.DeadLetterRecorded{}.EventType():
		return "deadletter"
	}
	return "handled"
}

func isRejected(err error) bool {
	_, ok := errors.AsType[*rejected](err)
	return ok
}
