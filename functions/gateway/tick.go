package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// pingType is the type of what a Knative PingSource sends.
const pingType = "dev.knative.sources.ping"

// planPing makes ticks of a PingSource's event. Its data names the schedule
// and the action, and the pipeline of a schedule that is one's; a schedule of
// the system ticks for all. It is due at the minute in which it was sent.
func (f *F) planPing(ctx context.Context, e events.Envelope) (plan, error) {
	var tick events.ScheduleTicked
	if err := json.Unmarshal(e.Data, &tick); err != nil {
		return nil, refuse(http.StatusBadRequest, "data of %s: %v", e.Type, err)
	}
	if tick.Schedule == "" || tick.Action == "" {
		return ignore, nil // A ping that is not for us.
	}
	if tick.Due == "" {
		if e.Time.IsZero() {
			return nil, refuse(http.StatusBadRequest, "attribute time is missing: it says when the schedule %q is due", tick.Schedule)
		}
		tick.Due = due(e.Time)
	}
	return f.planTick(ctx, e, tick)
}

// due is how a due time is written, whoever notices it: pings and crons have
// the grain of a minute.
func due(t time.Time) string { return t.UTC().Truncate(time.Minute).Format(time.RFC3339) }

func (f *F) planTick(ctx context.Context, e events.Envelope, tick events.ScheduleTicked) (plan, error) {
	var mistakes []error
	t, err := time.Parse(time.RFC3339, tick.Due)
	if tick.Due != "" && err != nil {
		mistakes = append(mistakes, errors.New("due is not an RFC 3339 timestamp"))
	}
	if err := tick.Validate(); err != nil {
		mistakes = append(mistakes, err)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, refuse(http.StatusBadRequest, "data of %s: %v", e.Type, err)
	}
	tick.Due = t.UTC().Format(time.RFC3339)
	if tick.Pipeline == "" {
		tick.Pipeline = e.Pipeline
	}
	if tick.Pipeline != "" {
		p, err := f.pipeline(ctx, tick.Pipeline)
		if err != nil {
			return nil, err
		}
		return f.ticks(tick, p), nil
	}
	return func(ctx context.Context) (outcome, error) {
		all, err := f.States.Configured(ctx)
		if err != nil {
			return "", err
		}
		return f.ticks(tick, all...)(ctx)
	}, nil
}

// ticks lets the schedule tick for the pipelines. The system's minutely tick
// is let in only where something waits for a time.
func (f *F) ticks(tick events.ScheduleTicked, pipelines ...*state.Pipeline) plan {
	return func(ctx context.Context) (outcome, error) {
		out := unwanted
		for _, p := range pipelines {
			if tick.Action == "tick" && !p.Waits() {
				continue
			}
			tick.Pipeline = p.Name
			_, again, err := f.announce(ctx, p.Name, "", tick)
			switch {
			case err != nil:
				return "", err
			case !again:
				out = taken
			case out == unwanted:
				out = duplicate
			}
		}
		return out, nil
	}
}

// Tick lets a schedule tick, for a cron source in the same process: for the
// tick's pipeline, or for all when it names none. A due time that has ticked
// already is a success.
func (f *F) Tick(ctx context.Context, tick events.ScheduleTicked) error {
	do, err := f.planTick(ctx, events.Envelope{Header: events.Header{Type: tick.EventType()}}, tick)
	if err != nil {
		return err
	}
	_, err = do(ctx)
	return err
}
