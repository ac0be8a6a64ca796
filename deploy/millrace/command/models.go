package command

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newModels() *cobra.Command {
	c := newList(a, "models", "List model versions, their states and metrics", "api/models", a.showModels)
	c.Example = "  millrace models\n  millrace models flights -o json"
	return c
}

// maxMetricColumns bounds the metrics that get a column of their own.
const maxMetricColumns = 6

func (a *app) showModels(rows []api.ModelRow) {
	if len(rows) == 0 {
		a.none("model", "upload data, or: millrace register PIPELINE model.onnx")
		return
	}
	metrics := metricNames(rows)
	columns := []terminal.Column{terminal.Left("PIPELINE"), terminal.Left("MODEL"), terminal.Left("STATE"), terminal.Left("RUN"), terminal.Left("SNAPSHOT")}
	for _, m := range metrics {
		columns = append(columns, terminal.Right(strings.ToUpper(m)))
	}
	columns = append(columns, terminal.Left("CREATED"), terminal.Rest("REASON"))
	t := [][]terminal.Cell{}
	for _, r := range rows {
		from := r.Run
		if from == "" {
			from = r.Name
		}
		row := []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Toned(terminal.Strong, terminal.Version(r.Version)), terminal.Toned(stateTone(r.State), string(r.State)),
			terminal.Text(from), terminal.Text(terminal.Short(r.Snapshot)),
		}
		for _, m := range metrics {
			text := ""
			if v, ok := r.Metrics[m]; ok {
				text = humanize.Metric(v)
			}
			row = append(row, terminal.Text(text))
		}
		reason := ""
		if r.State == api.Rejected {
			reason = r.Reason
		}
		t = append(t, append(row, terminal.Text(a.out.Ago(r.Created)), terminal.Text(reason)))
	}
	a.out.Table(columns, t)
}

// metricNames are the names of the rows' metrics, those of most rows first.
func metricNames(rows []api.ModelRow) []string {
	counts := map[string]int{}
	for _, r := range rows {
		for name := range r.Metrics {
			counts[name]++
		}
	}
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(x, y string) int { return counts[y] - counts[x] })
	return names[:min(len(names), maxMetricColumns)]
}

func stateTone(s api.ModelState) terminal.Tone {
	switch s {
	case api.Champion:
		return terminal.Good
	case api.Canary:
		return terminal.Warn
	case api.Rejected:
		return terminal.Bad
	case api.Archived:
		return terminal.Faint
	}
	return terminal.Plain
}

func (a *app) newRoutes() *cobra.Command {
	c := newList(a, "routes", "Show how requests are routed", "api/routes", a.showRoutes)
	c.Example = "  millrace routes"
	return c
}

func (a *app) showRoutes(rows []api.RouteRow) {
	if len(rows) == 0 {
		a.none("pipeline", "start the system with --pipelines")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		weights, changed, rollout := terminal.Weights(r.Weights), "", ""
		if weights == "" {
			weights = "nowhere yet"
		}
		if r.Changed != nil {
			changed = a.out.Ago(*r.Changed)
		}
		if r.Rollout != nil {
			rollout = rolloutWords(*r.Rollout)
		}
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Toned(terminal.Good, terminal.Version(r.Champion)), terminal.Text(weights), terminal.Text(changed),
			terminal.Toned(terminal.Warn, rollout),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("CHAMPION"), terminal.Left("TRAFFIC"), terminal.Left("CHANGED"), terminal.Rest("ROLLOUT"),
	}, t)
}
