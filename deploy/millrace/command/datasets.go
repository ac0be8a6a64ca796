package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

func (a *app) newDatasets() *cobra.Command {
	c := newList(a, "datasets", "List the snapshots of the training data", "api/datasets", a.showDatasets)
	c.Example = "  millrace datasets flights\n  millrace datasets --at 2026-01-31"
	return c
}

func (a *app) showDatasets(rows []api.DatasetRow) {
	if len(rows) == 0 {
		a.none("snapshot", "upload data: millrace upload PIPELINE FILE")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		current, tone := "", terminal.Plain
		if r.Current {
			current, tone = "current", terminal.Good
		}
		notes := warnings(r.Warnings)
		if r.SetAside > 0 {
			notes = strings.TrimPrefix(notes+fmt.Sprintf("; %s set aside: millrace set-aside %s", humanize.Count(r.SetAside, "row"), r.Pipeline), "; ")
		}
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Text(terminal.Short(r.Snapshot)), terminal.Toned(tone, current),
			terminal.Text(humanize.Int(r.Partitions)), terminal.Text(humanize.Int(r.Rows)), terminal.Text(a.out.Ago(r.Created)),
			terminal.Toned(terminal.Warn, notes),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("SNAPSHOT"), terminal.Left(""), terminal.Right("PARTITIONS"), terminal.Right("ROWS"),
		terminal.Left("CREATED"), terminal.Rest("WARNINGS"),
	}, t)
}

func warnings(ps []events.Problem) string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = p.String()
	}
	return strings.Join(parts, "; ")
}

// labelRow is one file of labels, as -o json prints it.
type labelRow struct {
	Pipeline string `json:"pipeline"`
	*state.Labels
}

func (a *app) newLabels() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use:     "labels [PIPELINE]",
		Short:   "List label files and how many predictions they matched",
		Example: "  millrace labels flights",
		RunE: func(c *cobra.Command, _ []string) error {
			rows := []labelRow{}
			err := a.eachState(c.Context(), s, func(p known) {
				for _, l := range p.Labels {
					rows = append(rows, labelRow{p.Name, l})
				}
			})
			if err != nil {
				return err
			}
			if a.json() {
				return a.print(rows)
			}
			a.showLabels(rows)
			return nil
		},
	}
	s.flags(c, true)
	return c
}

func (a *app) showLabels(rows []labelRow) {
	if len(rows) == 0 {
		a.none("labels", "upload some under a name of data.labels.uploads")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Text(r.Object.Name()), terminal.Text(humanize.Int(r.Rows)), terminal.Text(humanize.Int(r.Matched)),
			terminal.Toned(terminal.Warn, humanize.Some(r.Unmatched)), terminal.Text(a.out.Ago(r.Time)),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("OBJECT"), terminal.Right("LABELS"), terminal.Right("MATCHED"), terminal.Right("UNMATCHED"), terminal.Left("ARRIVED"),
	}, t)
}

// took formats a duration in seconds, "" for 0.
func took(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return humanize.Duration(time.Duration(seconds * float64(time.Second)))
}
