package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// pingType is the type of what a Knative PingSource sends.
const pingType = "dev.knative.sources.ping"

// planPing turns a PingSource's event into ticks. Its data names the schedule,
// the action and, unless the schedule is the system's, the pipeline; a schedule
// of the system ticks for all. It is due at the minute in which it was sent.
func (f *F) planPing(ctx context.Context, e events.Envelope) (plan, error) {
	var tick events.ScheduleTicked
	if err := json.Unmarshal(e.Data, &tick); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "data of %s: %v", e.Type, err)
	}
	if tick.Schedule == "" || tick.Action == "" {
		return ignore, nil // A ping for another receiver.
	}
	if tick.Due == "" {
		if e.Time.IsZero() {
			return nil, httperror.New(http.StatusBadRequest, "attribute time is missing: it says when the schedule %q is due", tick.Schedule)
		}
		tick.Due = due(e.Time)
	}
	return f.planTick(ctx, e, tick)
}

// due formats a due time at minute resolution, so that a PingSource and the cron
// of a laptop produce the same id.
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
		return nil, httperror.New(http.StatusBadRequest, "data of %s: %v", e.Type, err)
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
		if err := mayTick(ctx, tick, p); err != nil {
			return nil, err
		}
		return f.ticks(tick, p), nil
	}
	return func(ctx context.Context) (outcome, error) {
		all, err := f.deps.States.Configured(ctx)
		if err != nil {
			return "", err
		}
		for _, p := range all {
			if err := mayTick(ctx, tick, p); err != nil {
				return "", err
			}
		}
		return f.ticks(tick, all...)(ctx)
	}, nil
}

// ticks logs a tick of the schedule for the pipelines.
func (f *F) ticks(tick events.ScheduleTicked, pipelines ...*state.Pipeline) plan {
	return func(ctx context.Context) (outcome, error) {
		out := unwanted
		for _, p := range pipelines {
			for _, due := range dueOf(tick, p) {
				_, again, err := f.emit(ctx, p.Name, "", due)
				switch {
				case err != nil:
					return "", err
				case !again:
					out = taken
				case out == unwanted:
					out = duplicate
				}
			}
		}
		return out, nil
	}
}

// dueOf returns the ticks of a pipeline that a tick of a schedule leads to. The
// system's minutely tick is logged only if the pipeline depends on the clock. It
// also leads to the ticks of the pipeline's own schedules that have become due,
// and to one for the freshness of a dataset whose data is overdue.
func dueOf(tick events.ScheduleTicked, p *state.Pipeline) (ticks []events.ScheduleTicked) {
	tick.Pipeline = p.Name
	if tick.Action != "tick" {
		return []events.ScheduleTicked{tick}
	}
	if p.Waits() {
		ticks = append(ticks, tick)
	}
	now, err := time.Parse(time.RFC3339, tick.Due)
	if err != nil {
		return ticks
	}
	for _, s := range p.Config.Spec.Schedules {
		for _, at := range p.Due(s, now) {
			ticks = append(ticks, events.ScheduleTicked{Schedule: s.Name, Action: s.Do, Pipeline: p.Name, Due: due(at)})
		}
	}
	if p.Overdue(now) {
		tick.Schedule, tick.Action = freshness, freshness
		ticks = append(ticks, tick)
	}
	return ticks
}

// freshness is the schedule and the action of ticks for overdue data.
const freshness = "freshness"

// Tick logs a tick of a schedule, for a cron source in the same process: for
// the tick's pipeline, or for all if it names none. A tick that is already
// logged is a success.
func (f *F) Tick(ctx context.Context, tick events.ScheduleTicked) error {
	do, err := f.planTick(ctx, events.Envelope{Header: events.Header{Type: tick.EventType()}}, tick)
	if err != nil {
		return err
	}
	_, err = do(ctx)
	return err
}
