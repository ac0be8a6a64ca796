package command

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway"
	"millrace.dev/shared/state"
)

func (a *app) newModels() *cobra.Command {
	c := newList(a, "models", "The versions, their standing and their metrics", "api/models", a.showModels)
	c.Example = "  millrace models\n  millrace models flights -o json"
	return c
}

// maxMetricColumns bounds the metrics that get a column of their own.
const maxMetricColumns = 6

func (a *app) showModels(rows []gateway.ModelRow) {
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
				text = strconv.FormatFloat(v, 'f', 4, 64)
			}
			row = append(row, terminal.Text(text))
		}
		reason := ""
		if r.State == state.Rejected {
			reason = r.Reason
		}
		t = append(t, append(row, terminal.Text(a.out.Ago(r.Created)), terminal.Text(reason)))
	}
	a.out.Table(columns, t)
}

// metricNames are the names of the rows' metrics, those of most rows first.
func metricNames(rows []gateway.ModelRow) []string {
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

func stateTone(s state.ModelState) terminal.Tone {
	switch s {
	case state.Champion:
		return terminal.Good
	case state.Canary:
		return terminal.Warn
	case state.Rejected:
		return terminal.Bad
	case state.Archived:
		return terminal.Faint
	}
	return terminal.Plain
}

func (a *app) newRoutes() *cobra.Command {
	c := newList(a, "routes", "Where requests go", "api/routes", a.showRoutes)
	c.Example = "  millrace routes"
	return c
}

func (a *app) showRoutes(rows []gateway.RouteRow) {
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
