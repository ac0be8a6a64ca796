package up

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
	"millrace.dev/triggers"
)

// startCron ticks for the schedules of the system, as PingSources do on a
// cluster, and once at the start: the gateway finds the schedules of pipelines
// that are due at a tick, or were while the system did not run.
func (s *system) startCron(ctx context.Context) error {
	_, schedules, err := triggers.Embedded()
	if err != nil {
		return err
	}
	runner := cron.New()
	for _, c := range schedules {
		when, err := config.ParseCron(c.Cron, c.Zone)
		if err != nil {
			return fmt.Errorf("schedule %s: %w", c.Name, err)
		}
		now := time.Now()
		missed, err := s.missed(ctx, c, when, now)
		if err != nil {
			return err
		}
		if missed || c.Action == "tick" {
			s.tick(ctx, c, now)
		}
		runner.Schedule(when, cron.FuncJob(func() { s.tick(ctx, c, time.Now()) }))
	}
	runner.Start()
	s.service.OnStop("cron", func(ctx context.Context) error {
		select {
		case <-runner.Stop().Done():
		case <-ctx.Done():
		}
		return nil
	})
	return nil
}

// missed reports whether a sweep was due while the system did not run.
func (s *system) missed(ctx context.Context, c triggers.Schedule, when *config.Cron, now time.Time) (bool, error) {
	pipelines, err := s.states.Configured(ctx)
	if err != nil {
		return false, fmt.Errorf("look for missed ticks: %w", err)
	}
	return slices.ContainsFunc(pipelines, func(p *state.Pipeline) bool {
		return c.Action == "sweep" && !p.Swept.IsZero() && !when.Next(p.Swept).After(now)
	}), nil
}

// tick reports to the gateway that the schedule is due at the minute of now.
func (s *system) tick(ctx context.Context, c triggers.Schedule, now time.Time) {
	err := s.gateway.Tick(ctx, events.ScheduleTicked{Schedule: c.Name, Action: c.Action, Due: now.UTC().Truncate(time.Minute).Format(time.RFC3339)})
	if err != nil && ctx.Err() == nil {
		s.logger.Error("the tick of a schedule failed", "schedule", c.Name, "error", err)
	}
}
