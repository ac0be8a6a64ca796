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

// problem is a broken rule as an event tells it.
func problem(b table.Broken) events.Problem {
	for _, row := range b.Examples {
		for name, v := range row {
			row[name] = shown(v)
		}
	}
	return events.Problem{
		Check: b.Check, Column: b.Column, Reason: b.Reason, Count: b.Count, Fraction: b.Fraction, Allowed: b.Allowed, Examples: b.Examples,
	}
}

// shown is a value that JSON can say.
func shown(v any) any {
	if x, ok := v.(float64); ok && (math.IsInf(x, 0) || math.IsNaN(x)) {
		return fmt.Sprint(x)
	}
	return v
}

const (
	// maxProblemBytes is what the problems of one event may take as JSON.
	maxProblemBytes = 200 << 10
	// maxProblems is how many of them an event lists that had to be trimmed.
	maxProblems = 100
	// maxShown bounds a text in the example of a trimmed problem, in bytes.
	maxShown = 200
)

// trim makes problems fit into an event. When something had to go, whole is
// all of it as JSON.
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

// head is the beginning of a text, in whole characters.
func head(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s[:most]), nil)) + "..."
}

// report trims problems and stores the whole of them if that was needed.
func (f *F) report(ctx context.Context, problems []events.Problem) ([]events.Problem, events.Ref, error) {
	trimmed, whole, err := trim(problems)
	if err != nil || whole == nil {
		return trimmed, events.Ref{}, err
	}
	ref, err := f.deps.Artifacts.PutBytes(ctx, whole, ".json")
	return trimmed, ref, err
}
