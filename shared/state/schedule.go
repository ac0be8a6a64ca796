package state

import (
	"maps"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
)

// Schedule is what the log knows about a schedule of the configuration.
type Schedule struct {
	// Since is when the schedule was configured as it is now. It was due at no
	// time before.
	Since time.Time `json:"since"`
	// Last is the newest due time that was noticed, zero before the first.
	Last time.Time `json:"last,omitzero"`
}

const (
	// onTime is how long after its due time a schedule is still on time: a
	// minutely tick may be some seconds late, and one may be lost.
	onTime = 2 * time.Minute
	// maxMissed bounds the missed due times that one tick makes up for.
	maxMissed = 100
	// maxLooked bounds the due times that are looked at: those of a month of
	// minutes.
	maxLooked = 31 * 24 * 60
)

// Due returns the due times of the schedule up to now that nobody has noticed,
// oldest first. Those that were missed while nothing ran are made up for as the
// schedule's catch_up says: the newest one, all of them, or none.
func (p *Pipeline) Due(s config.Schedule, now time.Time) []time.Time {
	known, ok := p.Schedules[s.Name]
	when, err := s.When()
	if !ok || err != nil || p.Configured.Imported {
		return nil
	}
	from, oldest := known.Since, now.Add(-onTime)
	if known.Last.After(from) {
		from = known.Last
	}
	if s.CatchUp != config.CatchUpSkip {
		oldest = from
		if s.MaxAge > 0 && now.Add(-time.Duration(s.MaxAge)).After(from) {
			oldest = now.Add(-time.Duration(s.MaxAge))
		}
	}
	if oldest.After(from) {
		from = oldest
	}
	if month := now.AddDate(0, -1, 0); month.After(from) && when.Next(month).Before(now) {
		from = month // of what was due more often, the newest month is enough
	}
	var due []time.Time
	for t := when.Next(from); !t.IsZero() && !t.After(now) && len(due) < maxLooked; t = when.Next(t) {
		due = append(due, t)
	}
	if s.CatchUp != config.CatchUpAll && len(due) > 1 {
		due = due[len(due)-1:]
	}
	return due[max(0, len(due)-maxMissed):]
}

// scheduled keeps what is known of the schedules that are configured as before.
// One that has changed, is there again, or was imported until now, is due from
// now on.
func (p *Pipeline) scheduled(old *config.Pipeline, h events.Header) {
	resumed := p.Configured.Imported && !h.Imported()
	before := map[string]config.Schedule{}
	if old != nil {
		for _, s := range old.Spec.Schedules {
			before[s.Name] = s
		}
	}
	next := make(map[string]Schedule, len(p.Config.Spec.Schedules))
	for _, s := range p.Config.Spec.Schedules {
		known, ok := p.Schedules[s.Name]
		if was := before[s.Name]; !ok || was.Cron != s.Cron || was.Zone != s.Zone || was.Do != s.Do || resumed {
			known = Schedule{Since: h.Time}
		}
		next[s.Name] = known
	}
	p.Schedules = next
}

// ticked notes that a due time was noticed. A second tick for it changes nothing.
func (p *Pipeline) ticked(d events.ScheduleTicked) bool {
	s, ok := p.Schedules[d.Schedule]
	due, err := time.Parse(time.RFC3339, d.Due)
	if err == nil && d.Action == "sweep" && due.After(p.Swept) {
		p.Swept = due
		return true
	}
	if !ok || err != nil || !due.After(s.Last) {
		return false
	}
	schedules := maps.Clone(p.Schedules)
	schedules[d.Schedule] = Schedule{Since: s.Since, Last: due}
	p.Schedules = schedules
	return true
}
