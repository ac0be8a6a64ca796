package command

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// checkRow is one drift check, as -o json prints it.
type checkRow struct {
	Pipeline string `json:"pipeline"`
	*state.Check
}

func (a *app) newDrift() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use:   "drift [PIPELINE]",
		Short: "List drift checks, with every column of the newest",
		Long: `Show the drift checks, which compare served rows with the champion's training
data. For the newest check of a pipeline every column is shown.`,
		Example: "  millrace drift flights",
		RunE: func(c *cobra.Command, _ []string) error {
			rows := []checkRow{}
			err := a.eachState(c.Context(), s, func(p known) {
				for _, check := range p.Drift.Checks {
					rows = append(rows, checkRow{p.Name, check})
				}
			})
			if err != nil {
				return err
			}
			if a.json() {
				return a.print(rows)
			}
			a.showDrift(rows)
			return nil
		},
	}
	s.flags(c, true)
	return c
}

func (a *app) showDrift(rows []checkRow) {
	if len(rows) == 0 {
		a.none("drift check", "a check runs after every monitor.every predicted rows")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		tone, found := terminal.Good, "steady"
		if r.Drifted {
			tone, found = terminal.Warn, "drifted"
		}
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Text(a.out.Ago(r.Time)), terminal.Toned(tone, found), terminal.Text(terminal.Version(r.Version)),
			terminal.Text(humanize.Int(r.Rows)), terminal.Text(r.Action), terminal.Text(r.Reason),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("CHECKED"), terminal.Left("FOUND"), terminal.Left("AGAINST"), terminal.Right("ROWS"), terminal.Left("THEN"), terminal.Rest("REASON"),
	}, t)
	for i, r := range rows {
		if i == len(rows)-1 || rows[i+1].Pipeline != r.Pipeline {
			a.out.Line()
			a.out.Line(a.out.Styled(terminal.Strong, fmt.Sprintf("%s: the newest check, %s against v%d", r.Pipeline, humanize.Count(r.Rows, "row"), r.Version)))
			a.showColumns(r.DriftCheck)
		}
	}
}

func (a *app) showColumns(d events.DriftCheck) {
	columns := slices.Clone(d.Columns)
	slices.SortStableFunc(columns, func(x, y events.ColumnDrift) int {
		if x.Drifted != y.Drifted {
			return cmp.Compare(drifted(y), drifted(x))
		}
		return cmp.Compare(y.Statistic, x.Statistic)
	})
	if d.Prediction != nil {
		p := *d.Prediction
		p.Column = "(the prediction)"
		columns = append(columns, p)
	}
	t := [][]terminal.Cell{}
	for _, c := range columns {
		tone, found, p := terminal.Plain, "", ""
		if c.Drifted {
			tone, found = terminal.Warn, "drifted"
		}
		if c.PValue != nil {
			p = humanize.Number(*c.PValue)
		}
		t = append(t, []terminal.Cell{
			terminal.Toned(tone, c.Column), terminal.Text(c.Test), terminal.Text(humanize.Metric(c.Statistic)), terminal.Text(p),
			terminal.Text(humanize.Number(c.Threshold)), terminal.Toned(tone, found), terminal.Text(c.Reason),
		})
	}
	a.out.IndentedTable("  ", []terminal.Column{
		terminal.Left("COLUMN"), terminal.Left("TEST"), terminal.Right("STATISTIC"), terminal.Right("P-VALUE"), terminal.Right("THRESHOLD"), terminal.Left(""), terminal.Rest("REASON"),
	}, t)
}

func drifted(c events.ColumnDrift) int {
	if c.Drifted {
		return 1
	}
	return 0
}

// known is the part of a pipeline's state that the commands need.
type known struct {
	Name   string          `json:"name"`
	Labels []*state.Labels `json:"labels"`
	Drift  state.Drift     `json:"drift"`
}

// eachState calls do for each selected pipeline, in the order of their names.
func (a *app) eachState(ctx context.Context, s selection, do func(known)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	query, err := s.query(time.Now())
	if err != nil {
		return err
	}
	names := []string{s.pipeline}
	if s.pipeline == "" {
		var all []api.PipelineStatus
		if err := c.Get(ctx, &all, query, "api/pipelines"); err != nil {
			return err
		}
		names = nil
		for _, p := range all {
			names = append(names, p.Pipeline)
		}
	}
	point := url.Values{}
	for _, k := range []string{"at", "seq"} {
		if v := query.Get(k); v != "" {
			point.Set(k, v)
		}
	}
	for _, name := range names {
		var p known
		if err := c.Get(ctx, &p, point, "api/pipelines", name); err != nil {
			return err
		}
		do(p)
	}
	return nil
}
