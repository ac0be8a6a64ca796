package ingest

import (
	"context"

	"millrace.dev/events"
	"millrace.dev/shared/table/source"
)

// Bounds of what an event says of rows that were set aside. The file has all.
const (
	maxReasons  = 50
	maxExamples = 5
)

// setAside stores the rows that were set aside of an upload.
func (f *F) setAside(ctx context.Context, found *source.Aside, to *source.SetAside) (events.SetAside, error) {
	if found == nil || found.Rows == 0 {
		return events.SetAside{}, nil
	}
	ref, err := f.deps.Artifacts.PutFile(ctx, to.Path, ".jsonl", false)
	if err != nil {
		return events.SetAside{}, err
	}
	return events.SetAside{Rows: found.Rows, Data: ref, Problems: Reasons(found, to)}, nil
}

// Reasons lists why rows were set aside: one problem for each column, of the
// first fifty, with a few examples of each.
func Reasons(found *source.Aside, to *source.SetAside) []events.Problem {
	var all []events.Problem
	for _, u := range found.Reasons[:min(len(found.Reasons), maxReasons)] {
		p := problem(u)
		p.Fraction, p.Allowed = float64(p.Count)/float64(found.Of), to.MaxFraction
		p.Examples = p.Examples[:min(len(p.Examples), maxExamples)]
		all = append(all, p)
	}
	return all
}
