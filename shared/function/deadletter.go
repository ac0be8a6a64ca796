package function

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// counted counts attempts before the handler runs, says when to try again, and
// gives an event up when it was refused or its attempts are spent: the dead
// letter is then the handling's record.
func counted(r *Runtime) middleware {
	return func(next handler) handler {
		return func(ctx context.Context, d Delivery) Outcome {
			at, err := r.attempts.next(ctx, r.mux.name, d)
			if err != nil {
				return Outcome{Err: fmt.Errorf("count the attempt: %w", err), After: r.retry.First}
			}
			if at.Count > r.retry.Attempts {
				return r.giveUp(ctx, d, at, errKilled, false)
			}
			leave, err := r.deps.Room.enter(ctx, at.alone())
			if err != nil {
				return Outcome{Err: fmt.Errorf("wait for the events being handled: %w", err), After: r.retry.First}
			}
			defer leave()
			// Not before: what waits at the door did not end the process.
			if err := r.attempts.begin(ctx, r.mux.name, d, at); err != nil {
				return Outcome{Err: fmt.Errorf("count the attempt: %w", err), After: r.retry.First}
			}
			return r.counted(ctx, d, at, next(ctx, d))
		}
	}
}

// counted says what an attempt that ended in o means for the next.
func (r *Runtime) counted(ctx context.Context, d Delivery, at attempt, o Outcome) Outcome {
	if o.Err == nil {
		return o
	}
	if wait, ok := errors.AsType[*later](o.Err); ok {
		o.Deferred, o.After = true, wait.after
		if err := r.attempts.deferred(ctx, r.mux.name, d, at); err != nil {
			return Outcome{Err: err, After: r.retry.First}
		}
		return o
	}
	at, err := r.attempts.failed(ctx, r.mux.name, d, at)
	switch {
	case isRejected(o.Err):
		return r.giveUp(ctx, d, at, o.Err, true)
	case at.Count >= r.retry.Attempts && ctx.Err() == nil:
		return r.giveUp(ctx, d, at, o.Err, false)
	case err != nil:
		o.Err = errors.Join(o.Err, fmt.Errorf("count the attempt: %w", err))
	}
	o.After = r.retry.pause(at.Count)
	return o
}

var errKilled = errors.New("the process ended during each attempt to handle it, and nothing else was being handled")

func (r *Runtime) giveUp(ctx context.Context, d Delivery, at attempt, reason error, rejected bool) Outcome {
	letter := events.DeadLetterRecorded{
		Event: d.Envelope, Function: r.mux.name, Attempts: min(at.Count, r.retry.Attempts), Reason: reason.Error(), Rejected: rejected,
		First: at.First.UTC().Format(time.RFC3339Nano), Last: time.Now().UTC().Format(time.RFC3339Nano),
	}
	if len(letter.Event.Data) > events.MaxDataBytes/2 {
		letter.Event.Data = nil // it stands in the log under the event's id
	}
	done, err := r.deps.Log.Append(ctx, eventlog.Commit{
		Pipeline: d.Pipeline, Function: r.mux.name, Handled: d.Header, Data: []events.Data{letter},
	})
	if err != nil {
		return Outcome{Err: fmt.Errorf("record the dead letter: %w", err), After: r.retry.pause(at.Count)}
	}
	return Outcome{Events: done.Events, Duplicate: done.Duplicate}
}
