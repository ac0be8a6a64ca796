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
			at, err := r.attempts.begin(ctx, r.mux.name, d)
			if err != nil {
				return Outcome{Err: fmt.Errorf("count the attempt: %w", err), After: r.retry.First}
			}
			if at.Count > r.retry.Attempts {
				return r.giveUp(ctx, d, at, errors.New("the process ended during each attempt to handle it"), false)
			}
			o := next(ctx, d)
			var wait *later
			switch {
			case o.Err == nil:
				return o
			case errors.As(o.Err, &wait):
				o.Deferred, o.After = true, wait.after
				if err := r.attempts.uncount(ctx, r.mux.name, d, at); err != nil {
					return Outcome{Err: err, After: r.retry.First}
				}
				return o
			case isRejected(o.Err):
				return r.giveUp(ctx, d, at, o.Err, true)
			case at.Count >= r.retry.Attempts && ctx.Err() == nil:
				return r.giveUp(ctx, d, at, o.Err, false)
			}
			o.After = r.retry.pause(at.Count)
			return o
		}
	}
}

func (r *Runtime) giveUp(ctx context.Context, d Delivery, at attempt, reason error, rejected bool) Outcome {
	letter := events.DeadLetterRecorded{
		Event: d.Envelope, Function: r.mux.name, Attempts: at.Count, Reason: reason.Error(), Rejected: rejected,
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
