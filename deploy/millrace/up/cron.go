package up

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/shared/eventlog"
	"millrace.dev/triggers"
)

// schedule is one cron line: of the system, or of a pipeline.
type schedule struct {
	pipeline, name, action string
	when                   cron.Schedule
}

// startCron ticks for the system's schedules and for those of the configured
// pipelines. What was missed while nothing ran ticks once, for the newest due
// time.
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
	gate, ok := s.functions[0].function.(*gateway.F)
	if !ok {
		return errors.New("the gateway is not the first function")
	}
	now := time.Now()
	if err := s.catchUp(ctx, gate, all, now); err != nil {
		return err
	}
	runner := cron.New()
	for _, c := range all {
		runner.Schedule(c.when, cron.FuncJob(func() { s.tick(ctx, gate, c, time.Now()) }))
	}
	runner.Start()
	s.onStop("cron", func(ctx context.Context) error {
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

// tick says that the schedule is due at the minute of now.
func (s *system) tick(ctx context.Context, gate *gateway.F, c schedule, now time.Time) {
	err := gate.Tick(ctx, events.ScheduleTicked{
		Schedule: c.name, Action: c.action, Pipeline: c.pipeline, Due: now.UTC().Truncate(time.Minute).Format(time.RFC3339),
	})
	if err != nil && ctx.Err() == nil {
		s.logger.Error("a schedule could not tick", "schedule", c.name, "pipeline", c.pipeline, "error", err)
	}
}

// catchUp ticks once for each schedule that was due since it last ticked.
func (s *system) catchUp(ctx context.Context, gate *gateway.F, all []schedule, now time.Time) error {
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
			continue // a schedule that is new has missed nothing; a tick says only what time it is
		}
		if missed := newestBetween(c.when, before, now); !missed.IsZero() {
			s.tick(ctx, gate, c, missed)
		}
	}
	return nil
}

// newestBetween is the newest due time after from and not after to, zero if
// there is none.
func newestBetween(when cron.Schedule, from, to time.Time) (newest time.Time) {
	// A year of minutely ticks would be long to walk: beyond a day only the
	// last day is looked at, once something is known to be due.
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
