package function

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// counted counts attempts before the handler runs, decides when to try again,
// and gives an event up when it was rejected or its attempts are spent: the
// dead letter is then the handling's record.
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
			leave, err := r.deps.Isolation.enter(ctx, at.alone())
			if err != nil {
				return Outcome{Err: fmt.Errorf("wait for the events being handled: %w", err), After: r.retry.First}
			}
			defer leave()
			// Count only now: an event still waiting for its slot cannot have
			// crashed the process.
			if err := r.attempts.begin(ctx, r.mux.name, d, at); err != nil {
				return Outcome{Err: fmt.Errorf("count the attempt: %w", err), After: r.retry.First}
			}
			return r.counted(ctx, d, at, next(ctx, d))
		}
	}
}

// counted decides what an attempt that ended in o means for the next one.
func (r *Runtime) counted(ctx context.Context, d Delivery, at attempt, o Outcome) Outcome {
	if o.Err == nil {
		r.forget(ctx, d, at)
		return o
	}
	if ctx.Err() != nil {
		return r.interrupted(ctx, d, at, o)
	}
	if wait, ok := errors.AsType[*later](o.Err); ok {
		o.Deferred, o.After = true, wait.after
		if err := r.attempts.uncounted(ctx, r.mux.name, d, at); err != nil {
			return Outcome{Err: err, After: r.retry.First}
		}
		return o
	}
	at, err := r.attempts.failed(ctx, r.mux.name, d, at, r.retry, o.Err)
	switch {
	case isRejected(o.Err):
		return r.giveUp(ctx, d, at, o.Err, true)
	case at.Count >= r.retry.Attempts:
		return r.giveUp(ctx, d, at, o.Err, false)
	case err != nil:
		o.Err = errors.Join(o.Err, fmt.Errorf("count the attempt: %w", err))
	}
	o.After = r.retry.pause(at.Count)
	return o
}

// interruptedTimeout bounds the note that an attempt was interrupted.
const interruptedTimeout = time.Second

// interrupted takes back an attempt that ended because the process is stopping
// or the sender has gone. The event is not to blame: however often that
// happens, it is neither a dead letter nor suspected of crashing the process.
func (r *Runtime) interrupted(ctx context.Context, d Delivery, at attempt, o Outcome) Outcome {
	note, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptedTimeout)
	defer cancel()
	o.Err = fmt.Errorf("interrupted: %w", o.Err)
	if err := r.attempts.uncounted(note, r.mux.name, d, at); err != nil {
		o.Err = errors.Join(o.Err, fmt.Errorf("take the attempt back: %w", err))
	}
	o.After = r.retry.First
	return o
}

var errKilled = errors.New("the process ended during each attempt to handle it, and nothing else was being handled")

func (r *Runtime) giveUp(ctx context.Context, d Delivery, at attempt, reason error, rejected bool) Outcome {
	letter := events.DeadLetterRecorded{
		Event: d.Envelope, Function: r.mux.name, Attempts: min(at.Count, r.retry.Attempts), Reason: reason.Error(), Rejected: rejected,
		First: at.First.UTC().Format(time.RFC3339Nano), Last: time.Now().UTC().Format(time.RFC3339Nano),
	}
	if len(letter.Event.Data) > events.MaxDataBytes/2 {
		letter.Event.Data = nil // the log has it under the event's id
	}
	done, err := r.deps.Log.Append(ctx, eventlog.Commit{
		Pipeline: d.Pipeline, Function: r.mux.name, Handled: d.Header, Data: []events.Data{letter},
	})
	if err != nil {
		return Outcome{Err: fmt.Errorf("record the dead letter: %w", err), After: r.retry.pause(at.Count)}
	}
	r.forget(ctx, d, at)
	return Outcome{Events: done.Events, Duplicate: done.Duplicate}
}

// forget takes an event that was handled or given up from those that fail.
func (r *Runtime) forget(ctx context.Context, d Delivery, at attempt) {
	if err := r.attempts.done(ctx, r.mux.name, d, at); err != nil {
		r.deps.Logger.WarnContext(ctx, "the attempts of an event that is handled were not forgotten; their entry expires", "event", d.ID, "error", err)
	}
}
