package command

import (
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
)

func (a *app) newSchedules() *cobra.Command {
	c := newList(a, "schedules", "Show what happens at fixed times, and when next", "api/schedules", a.showSchedules)
	c.Long = "Show the schedules of pipelines, when each was due last, and its next five due times in its time zone."
	c.Example = "  millrace schedules\n  millrace schedules flights"
	return c
}

func (a *app) showSchedules(rows []api.ScheduleRow) {
	if len(rows) == 0 {
		a.none("schedule", "a pipeline has them in spec.schedules")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		last := "never"
		if r.Last != nil {
			last = a.out.Ago(*r.Last)
		}
		var next []string
		for i, at := range r.Next {
			layout := "Mon 2 Jan 15:04"
			if i > 0 && at.Format("2 Jan") == r.Next[i-1].Format("2 Jan") {
				layout = "15:04"
			}
			next = append(next, at.Format(layout))
		}
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Text(r.Schedule), terminal.Text(r.Do), terminal.Text(r.Cron), terminal.Text(r.Zone), terminal.Text(last),
			terminal.Text(strings.Join(next, ", ")),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("SCHEDULE"), terminal.Left("DO"), terminal.Left("CRON"), terminal.Left("ZONE"), terminal.Left("LAST"), terminal.Rest("NEXT"),
	}, t)
}
