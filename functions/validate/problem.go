package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"

	"millrace.dev/events"
	"millrace.dev/shared/table"
)

const (
	// maxColumns is how many columns an example shows, beside the one that the
	// problem is about.
	maxColumns = 50
	// maxText bounds a text in an example, in bytes.
	maxText = 1000
	// maxExamples bounds the examples of all problems of a partition, in bytes:
	// a table of a thousand columns can break a thousand rules.
	maxExamples = 8 << 20
)

// problemsOf returns broken rules as the problems of an event. Beyond
// maxExamples bytes, examples are left out.
func problemsOf(broken []table.Broken, columns []table.ColumnProfile) []events.Problem {
	var problems []events.Problem
	left := maxExamples
	for _, b := range broken {
		p := events.Problem{Check: b.Check, Column: b.Column, Reason: b.Reason, Count: b.Count, Fraction: b.Fraction, Allowed: b.Allowed}
		for _, row := range b.Examples {
			if left <= 0 {
				break
			}
			example, size := exampleOf(row, b.Column, columns)
			p.Examples = append(p.Examples, example)
			left -= size
		}
		problems = append(problems, p)
	}
	return problems
}

// exampleOf returns a row as JSON values that a person can read, and about how
// many bytes it takes.
func exampleOf(row map[string]any, column string, columns []table.ColumnProfile) (example map[string]any, size int) {
	example = make(map[string]any, min(len(row), maxColumns+2))
	show := func(name string) {
		v, ok := row[name]
		if !ok {
			return
		}
		switch x := v.(type) {
		case float64:
			if math.IsInf(x, 0) || math.IsNaN(x) {
				v = fmt.Sprint(x)
			}
		case string:
			v = head(x, maxText)
			size += min(len(x), maxText)
		}
		example[name] = v
		size += len(name) + 16
	}
	show(table.RowKey)
	show(column)
	for _, c := range columns[:min(len(columns), maxColumns)] {
		show(c.Name)
	}
	return example, size
}

const (
	// maxProblemBytes bounds the problems of one event, as JSON.
	maxProblemBytes = 200 << 10
	// maxProblems is how many of them an event lists that had to be trimmed.
	maxProblems = 100
	// maxShown bounds a text in the example of a trimmed problem, in bytes.
	maxShown = 200
)

// trim makes problems fit into an event. If something was left out, whole is
// the complete list as JSON.
func trim(problems []events.Problem) (trimmed []events.Problem, whole []byte, err error) {
	whole, err = json.Marshal(problems)
	if err != nil {
		return nil, nil, err
	}
	if len(whole) <= maxProblemBytes {
		return problems, nil, nil
	}
	for _, examples := range []int{table.MaxExamples, 5, 1, 0} {
		trimmed = shorten(problems, examples)
		b, err := json.Marshal(trimmed)
		if err != nil {
			return nil, nil, err
		}
		if len(b) <= maxProblemBytes {
			break
		}
	}
	return trimmed, whole, nil
}

// shorten keeps the first problems, of each so many examples, of these the
// beginning of long texts.
func shorten(problems []events.Problem, examples int) []events.Problem {
	var short []events.Problem
	for _, p := range problems[:min(len(problems), maxProblems)] {
		p.Reason = head(p.Reason, 10*maxShown)
		rows := make([]map[string]any, 0, examples)
		for _, row := range p.Examples[:min(len(p.Examples), examples)] {
			cut := make(map[string]any, len(row))
			for name, v := range row {
				if text, ok := v.(string); ok {
					v = head(text, maxShown)
				}
				cut[name] = v
			}
			rows = append(rows, cut)
		}
		p.Examples = rows
		short = append(short, p)
	}
	if more := len(problems) - len(short); more > 0 {
		short = append(short, events.Problem{Check: "more", Reason: fmt.Sprintf("%d more problems stand in the report", more)})
	}
	return short
}

// head returns the beginning of a text, in whole characters.
func head(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s[:most]), nil)) + "..."
}

// report trims problems, and stores the complete list if it did.
func (f *F) report(ctx context.Context, problems []events.Problem) ([]events.Problem, events.Ref, error) {
	trimmed, whole, err := trim(problems)
	if err != nil || whole == nil {
		return trimmed, events.Ref{}, err
	}
	ref, err := f.deps.Artifacts.PutBytes(ctx, whole, ".json")
	return trimmed, ref, err
}
