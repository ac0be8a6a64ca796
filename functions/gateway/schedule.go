package gateway

import (
	"time"

	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/state"
)

// nextShown is how many due times to come a schedule is shown with.
const nextShown = 5

// scheduleRows lists the schedules of a pipeline in the order of its file.
func scheduleRows(p *state.Pipeline, now time.Time) (rows []api.ScheduleRow) {
	for _, s := range p.Config.Spec.Schedules {
		when, err := s.When()
		if err != nil {
			continue // an older version has taken it; it is never due
		}
		known := p.Schedules[s.Name]
		row := api.ScheduleRow{Pipeline: p.Name, Schedule: s.Name, Cron: s.Cron, Zone: s.Zone, Do: s.Do, Since: known.Since, Next: []time.Time{}}
		if !known.Last.IsZero() {
			row.Last = &known.Last
		}
		for t := when.Next(now); !t.IsZero() && len(row.Next) < nextShown; t = when.Next(t) {
			row.Next = append(row.Next, t)
		}
		rows = append(rows, row)
	}
	return rows
}
