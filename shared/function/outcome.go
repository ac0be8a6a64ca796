package function

import (
	"errors"
	"fmt"
	"time"

	"millrace.dev/events"
)

// Nothing is what a handler returns when there is nothing to announce. The
// reason stands in the log, as event.handled.
func Nothing(format string, args ...any) ([]events.Data, error) {
	return []events.Data{events.EventHandled{Reason: fmt.Sprintf(format, args...)}}, nil
}

// Reject says that the event will never be handled: it becomes a dead letter
// with err as the reason. Not for bad data of a person, which is answered by
// an event of its own.
func Reject(err error) error { return &rejected{err} }

type rejected struct{ error }

func (r *rejected) Unwrap() error { return r.error }

// Later says that the event is to come again after d; it is not counted as an
// attempt. err is what is waited for.
func Later(d time.Duration, err error) error { return &later{err, d} }

type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

// Outcome is what became of one delivery.
type Outcome struct {
	// Events are what the handling committed: a dead letter too.
	Events []events.Envelope
	// Duplicate says that the event had been handled before.
	Duplicate bool
	// Err is set when the event must come again, After when.
	Err   error
	After time.Duration
	// Deferred tells Later from an error.
	Deferred bool
}

// name is the outcome's word in the metrics.
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
	var r *rejected
	return errors.As(err, &r)
}
