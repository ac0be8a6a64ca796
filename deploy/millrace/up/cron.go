package up

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/triggers"
)

// schedule is one cron schedule, of the system or of a pipeline.
type schedule struct {
	pipeline, name, action string
	when                   cron.Schedule
}

// startCron ticks for the schedules of the system and of the configured
// pipelines. A schedule that was due while the system did not run ticks once,
// for its newest due time.
func (s *system) startCron(ctx context.Context) error {
	_, system, err := triggers.Embedded()
	if err != nil {
		return err
	}
	var all []schedule
	for _, t := range system {
		when, err := parseCron(t.Cron, t.Zone)
		if err != nil {
			return fmt.Errorf("schedule %s: %w", t.Name, err)
		}
		all = append(all, schedule{"", t.Name, t.Action, when})
	}
	pipelines, err := s.states.Configured(ctx)
	if err != nil {
		return err
	}
	for _, p := range pipelines {
		for _, c := range p.Config.Spec.Schedules {
			when, err := parseCron(c.Cron, c.Zone)
			if err != nil {
				return fmt.Errorf("schedule %s of %s: %w", c.Name, p.Name, err)
			}
			all = append(all, schedule{p.Name, c.Name, c.Do, when})
		}
	}
	now := time.Now()
	if err := s.catchUp(ctx, all, now); err != nil {
		return err
	}
	runner := cron.New()
	for _, c := range all {
		runner.Schedule(c.when, cron.FuncJob(func() { s.tick(ctx, c, time.Now()) }))
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

func parseCron(spec, zone string) (cron.Schedule, error) {
	if zone == "" {
		zone = "UTC"
	}
	return cron.ParseStandard("CRON_TZ=" + zone + " " + spec)
}

// tick reports to the gateway that the schedule is due at the minute of now.
func (s *system) tick(ctx context.Context, c schedule, now time.Time) {
	err := s.gateway.Tick(ctx, events.ScheduleTicked{
		Schedule: c.name, Action: c.action, Pipeline: c.pipeline, Due: now.UTC().Truncate(time.Minute).Format(time.RFC3339),
	})
	if err != nil && ctx.Err() == nil {
		s.logger.Error("the tick of a schedule failed", "schedule", c.name, "pipeline", c.pipeline, "error", err)
	}
}

// catchUp ticks once for each schedule that was due after its last tick.
func (s *system) catchUp(ctx context.Context, all []schedule, now time.Time) error {
	type key struct{ pipeline, name string }
	last := map[key]time.Time{}
	for e, err := range s.log.Read(ctx, eventlog.Filter{Types: []string{events.ScheduleTicked{}.EventType()}}) {
		if err != nil {
			return fmt.Errorf("look for missed ticks: %w", err)
		}
		d, err := events.Decode[events.ScheduleTicked](e)
		if err != nil {
			continue
		}
		if due, err := time.Parse(time.RFC3339, d.Data.Due); err == nil {
			last[key{d.Pipeline, d.Data.Schedule}] = due
			last[key{"", d.Data.Schedule}] = due
		}
	}
	for _, c := range all {
		before, ticked := last[key{c.pipeline, c.name}]
		if !ticked || c.action == "tick" {
			continue // a new schedule has missed nothing, and the system's tick only tells the time
		}
		if missed := newestBetween(c.when, before, now); !missed.IsZero() {
			s.tick(ctx, c, missed)
		}
	}
	return nil
}

// newestBetween is the newest due time after from and not after to, zero if
// nothing was due.
func newestBetween(when cron.Schedule, from, to time.Time) (newest time.Time) {
	// Iterating over a year of minutely ticks would take long. If more than a
	// day has passed and something was due, only the last day is searched.
	for t := when.Next(from); !t.IsZero() && !t.After(to); t = when.Next(t) {
		newest = t
		if day := to.Add(-24 * time.Hour); t.Before(day) {
			if n := when.Next(day); !n.After(to) {
				t = day
			}
		}
	}
	return newest
}
