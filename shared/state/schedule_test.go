package state

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
)

// at returns a time of 1 March 2026.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-03-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// schedules configures a pipeline with these schedules at a time.
func schedules(t *testing.T, p *Pipeline, when time.Time, s ...config.Schedule) {
	t.Helper()
	spec, err := json.Marshal(map[string]any{
		"apiVersion": "millrace.dev/v1alpha1", "kind": "Pipeline", "metadata": map[string]string{"name": "flights"},
		"spec": map[string]any{"schedules": s, "model": map[string]any{"task": "regression", "label": "y", "features": []string{"x"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !p.apply(events.Header{Time: when}, events.PipelineConfigured{Spec: spec}) {
		t.Fatalf("not configured: %s", spec)
	}
}

func clocks(times []time.Time) string {
	var all []string
	for _, t := range times {
		all = append(all, t.UTC().Format("15:04"))
	}
	return strings.Join(all, " ")
}

// What was missed is made up for as the schedule says, and once.
func TestDueSchedules(t *testing.T) {
	t.Parallel()
	s := config.Schedule{Name: "quarterly", Cron: "*/15 * * * *", Do: "drift-check"}
	for _, c := range []struct {
		catchUp string
		maxAge  time.Duration
		now     string
		want    string
	}{
		{"", 0, "10:01", "10:00"},
		{"", 0, "10:14", "10:00"},
		{"", 0, "12:03", "12:00"},
		{"one", time.Hour, "12:03", "12:00"},
		{"one", time.Minute, "12:03", ""},
		{"all", 0, "11:02", "10:00 10:15 10:30 10:45 11:00"},
		{"all", 20 * time.Minute, "11:02", "10:45 11:00"},
		{"skip", 0, "11:02", ""},
		{"skip", 0, "11:01", "11:00"},
	} {
		s.CatchUp, s.MaxAge = c.catchUp, config.Duration(c.maxAge)
		p := New("flights")
		schedules(t, p, at("09:46"), s)
		if got := clocks(p.Due(s, at(c.now))); got != c.want {
			t.Errorf("catch_up %q of %v at %s: %q, want %q", c.catchUp, c.maxAge, c.now, got, c.want)
		}
		for _, due := range p.Due(s, at(c.now)) {
			p.apply(events.Header{}, events.ScheduleTicked{Schedule: s.Name, Action: s.Do, Due: due.Format(time.RFC3339)})
		}
		if again := clocks(p.Due(s, at(c.now))); again != "" {
			t.Errorf("catch_up %q at %s: due again: %s", c.catchUp, c.now, again)
		}
	}
}

// A schedule that has changed, or was away, is due at no time before.
func TestScheduleIsDueSinceItIsConfigured(t *testing.T) {
	t.Parallel()
	s := config.Schedule{Name: "nightly", Cron: "0 9 * * *", Do: "drift-check"}
	other := config.Schedule{Name: "other", Cron: "0 0 1 1 *", Do: "drift-check"}
	p := New("flights")
	if got := p.Due(s, at("12:00")); got != nil {
		t.Errorf("a schedule that is not configured is due at %v", got)
	}
	schedules(t, p, at("08:00"), s)
	schedules(t, p, at("10:00"), s, other) // as before
	if got := clocks(p.Due(s, at("12:00"))); got != "09:00" {
		t.Errorf("as before: due at %q", got)
	}
	changed := s
	changed.Cron = "30 9 * * *"
	schedules(t, p, at("10:00"), changed)
	if got := clocks(p.Due(changed, at("12:00"))); got != "" {
		t.Errorf("changed: due at %q", got)
	}
	schedules(t, p, at("10:10"), other)
	schedules(t, p, at("10:20"), changed)
	if got := clocks(p.Due(changed, at("12:00"))); got != "" {
		t.Errorf("there again: due at %q", got)
	}
	if got := clocks(p.Due(changed, at("12:00").AddDate(0, 0, 1))); got != "09:30" {
		t.Errorf("the next day: due at %q", got)
	}
}

// Years of missed minutes cost no more than a month of them.
func TestDueAfterYears(t *testing.T) {
	t.Parallel()
	s := config.Schedule{Name: "minutely", Cron: "* * * * *", Do: "drift-check", CatchUp: config.CatchUpAll}
	p := New("flights")
	schedules(t, p, at("08:00").AddDate(-10, 0, 0), s)
	due := p.Due(s, at("12:00"))
	if len(due) != maxMissed || !due[len(due)-1].Equal(at("12:00")) {
		t.Errorf("%d due times, the last %v", len(due), due[max(0, len(due)-1):])
	}
}
