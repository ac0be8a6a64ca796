package command

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
)

// showOutcome prints a target's outcome, without the reason if that is going to
// be printed as the error.
func (a *app) showOutcome(t target, o wait.Outcome, asError bool) {
	if o.End == wait.Done {
		a.out.Line(a.out.Styled(terminal.Good, string(o.End)), a.out.Styled(terminal.Plain, "  "+t.what+": "+o.Reason))
		if o.Hint != "" {
			a.out.Line(a.out.Styled(terminal.Faint, "next  "), a.out.Styled(terminal.Plain, o.Hint))
		}
		return
	}
	a.out.Line(a.out.Styled(terminal.Bad, string(o.End)), a.out.Styled(terminal.Plain, "  "+t.what))
	if !asError || hasTable(o) {
		a.showProblems(o.Problems)
	}
	if len(o.Verdicts) > 0 {
		a.out.Line()
		a.out.IndentedTable("  ", verdictColumns, verdictCells(o.Verdicts))
	}
	if o.Log != "" {
		a.out.Line()
		a.out.Line(a.out.Styled(terminal.Faint, "  the last lines of its log:"))
		for _, line := range terminal.Lines(o.Log) {
			a.out.Line(a.out.Styled(terminal.Faint, "  | "), line)
		}
	}
}

var verdictColumns = []terminal.Column{terminal.Left(""), terminal.Left("GATE"), terminal.Right("VALUE"), terminal.Rest("VERDICT")}

// verdictCells returns a row for each verdict, failed ones first.
func verdictCells(vs []events.Verdict) [][]terminal.Cell {
	vs = slices.Clone(vs)
	slices.SortStableFunc(vs, func(x, y events.Verdict) int { return passed(x) - passed(y) })
	t := [][]terminal.Cell{}
	for _, v := range vs {
		mark := terminal.Toned(terminal.Good, "✓")
		if !v.Passed {
			mark = terminal.Toned(terminal.Bad, "✗")
		}
		t = append(t, []terminal.Cell{
			mark, terminal.Text(gateOf(v)), terminal.Text(humanize.Metric(v.Value)), terminal.Text(v.Reason),
		})
	}
	return t
}

// gateOf returns a gate's name, with the slice it was applied to.
func gateOf(v events.Verdict) string {
	if v.Slice == "" || strings.Contains(v.Gate, v.Slice) {
		return v.Gate
	}
	bound, _, _ := strings.Cut(v.Gate, " in every ")
	return bound + " on " + v.Slice
}

func passed(v events.Verdict) int {
	if v.Passed {
		return 1
	}
	return 0
}

// maxExamples bounds the rows shown for a problem; -o json has all.
const maxExamples = 3

// showProblems prints the problems of rejected data as a table, then a few
// example rows of each problem.
func (a *app) showProblems(ps []events.Problem) {
	if len(ps) == 0 {
		return
	}
	t := [][]terminal.Cell{}
	for _, p := range ps {
		share := ""
		if p.Fraction > 0 {
			share = fmt.Sprintf("%.3g %%", 100*p.Fraction)
		}
		t = append(t, []terminal.Cell{
			terminal.Text(p.Check), terminal.Text(p.Column), terminal.Text(humanize.Some(p.Count)), terminal.Text(share), terminal.Text(p.Reason),
		})
	}
	a.out.Line()
	a.out.IndentedTable("  ", []terminal.Column{
		terminal.Left("CHECK"), terminal.Left("COLUMN"), terminal.Right("ROWS"), terminal.Right("SHARE"), terminal.Rest("WHAT IS WRONG"),
	}, t)
	for _, p := range ps {
		if len(p.Examples) > 0 && !saysAll(p) {
			a.showExamples(p)
		}
	}
}

// hasTable reports whether the problems of rejected data take more than the one
// sentence of the error.
func hasTable(o wait.Outcome) bool {
	return len(o.Problems) > 1 || len(o.Problems) == 1 && !saysAll(o.Problems[0])
}

// saysAll reports whether the problem's sentence has its only example: the line
// and the value that could not be read.
func saysAll(p events.Problem) bool { return p.Check == unreadable && len(p.Examples) <= 1 }

// unreadable is the check of problems in reading a file. Their sentences begin
// with the place: "line 3", "row 3" or "object 3".
const unreadable = "readable"

// placeOf returns what the rows of a problem's examples are.
func placeOf(p events.Problem) string {
	if place, _, _ := strings.Cut(p.Reason, " "); p.Check == unreadable && (place == "line" || place == "object") {
		return place
	}
	return "row"
}

// showExamples prints rows that break a rule. The row number and the column
// that the rule checks come first.
func (a *app) showExamples(p events.Problem) {
	title := p.Check
	if p.Column != "" {
		title += " of " + p.Column
	}
	rows := p.Examples[:min(maxExamples, len(p.Examples))]
	a.out.Line()
	a.out.Line(a.out.Styled(terminal.Strong, "  "+title), a.out.Styled(terminal.Faint, fmt.Sprintf("  %d of %s", len(rows), humanize.Count(max(p.Count, int64(len(rows))), placeOf(p)))))
	names := exampleColumns(p)
	columns := make([]terminal.Column, len(names))
	for i, name := range names {
		columns[i] = terminal.Rest(name)
		if name == "_row" {
			columns[i] = terminal.Right(placeOf(p))
		}
	}
	t := make([][]terminal.Cell, len(rows))
	for r, row := range rows {
		for _, name := range names {
			tone := terminal.Plain
			if name == p.Column {
				tone = terminal.Bad
			}
			t[r] = append(t[r], terminal.Toned(tone, exampleValue(row[name])))
		}
	}
	a.out.IndentedTable("  ", columns, t)
}

// maxExampleColumns bounds the columns shown of an example row.
const maxExampleColumns = 7

func exampleColumns(p events.Problem) []string {
	seen := map[string]bool{}
	for _, row := range p.Examples {
		for name := range row {
			seen[name] = true
		}
	}
	names := []string{}
	for _, first := range []string{"_row", p.Column} {
		if seen[first] {
			names = append(names, first)
			delete(seen, first)
		}
	}
	names = append(names, slices.Sorted(maps.Keys(seen))...)
	return names[:min(len(names), maxExampleColumns)]
}

// exampleValue formats a JSON value for people.
func exampleValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "(null)"
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC().Format(time.DateTime)
		}
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}
