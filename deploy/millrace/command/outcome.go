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
)

// showOutcome prints what became of a target, in full.
func (a *app) showOutcome(t target, o wait.Outcome) {
	if o.End == wait.Done {
		a.out.Line(a.out.Styled(terminal.Good, string(o.End)), a.out.Styled(terminal.Plain, "  "+t.what+": "+o.Reason))
		if o.Hint != "" {
			a.out.Line(a.out.Styled(terminal.Faint, "next  "), a.out.Styled(terminal.Plain, o.Hint))
		}
		return
	}
	// The reason comes with the error.
	a.out.Line(a.out.Styled(terminal.Bad, string(o.End)), a.out.Styled(terminal.Plain, "  "+t.what))
	a.showProblems(o.Problems)
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

// verdictCells are what the gates said, the failed ones first.
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
			mark, terminal.Text(gateOf(v)), terminal.Text(strconv.FormatFloat(v.Value, 'f', 4, 64)), terminal.Text(v.Reason),
		})
	}
	return t
}

// gateOf is a gate, and the slice it was applied to unless it says that itself.
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

// maxExamples bounds the rows that are shown of a problem; -o json has all.
const maxExamples = 3

// showProblems prints what is wrong with data: a table of the problems, then a
// few rows of each that has some.
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
			terminal.Text(p.Check), terminal.Text(p.Column), terminal.Text(terminal.Some(p.Count)), terminal.Text(share), terminal.Text(p.Reason),
		})
	}
	a.out.Line()
	a.out.IndentedTable("  ", []terminal.Column{
		terminal.Left("CHECK"), terminal.Left("COLUMN"), terminal.Right("ROWS"), terminal.Right("SHARE"), terminal.Rest("WHAT IS WRONG"),
	}, t)
	for _, p := range ps {
		if len(p.Examples) > 0 {
			a.showExamples(p)
		}
	}
}

// showExamples prints rows that break a rule: the row's number and the column
// that the rule is about first.
func (a *app) showExamples(p events.Problem) {
	title := p.Check
	if p.Column != "" {
		title += " of " + p.Column
	}
	rows := p.Examples[:min(maxExamples, len(p.Examples))]
	a.out.Line()
	a.out.Line(a.out.Styled(terminal.Strong, "  "+title), a.out.Styled(terminal.Faint, fmt.Sprintf("  %d of %s", len(rows), terminal.Count(max(p.Count, int64(len(rows))), "row"))))
	names := exampleColumns(p)
	columns := make([]terminal.Column, len(names))
	for i, name := range names {
		columns[i] = terminal.Rest(name)
		if name == "_row" {
			columns[i] = terminal.Right("row")
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

// maxExampleColumns bounds the columns of an example.
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

// exampleValue is a value of JSON as a person reads it.
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
