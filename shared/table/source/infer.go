package source

import (
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// inferences are the types of columns as far as they are known.
type inferences []*cell.Inference

func newInferences(n int, nulls []string) inferences {
	all := make(inferences, n)
	for i := range all {
		all[i] = cell.NewInference(nulls)
	}
	return all
}

func (all inferences) typeOf(i int) table.Type { return all[i].Type() }
