package evaluate

import (
	"cmp"
	"slices"

	"millrace.dev/shared/table"
)

const (
	// maxSlices bounds the measured values of a column; those with most rows are kept.
	maxSlices = 200
	// maxValues bounds the distinguished values of a column; later ones belong
	// to no slice.
	maxValues = 100_000
	// missing is the slice of rows in which the column has no value.
	missing = "(missing)"
)

// sliceColumn is a column by whose values the hold-out is measured again.
type sliceColumn struct {
	name   string
	number map[string]int32 // of each value
	values []string
	codes  []int32 // the number of each row's value, -1 for none
}

func (s *sliceColumn) take(typ table.Type, v *table.Vector, kept []int32) {
	for _, row := range kept {
		value := missing
		if !v.Null(int(row)) {
			value = text(typ, v, int(row))
		}
		code, ok := s.number[value]
		if !ok {
			code = -1
			if len(s.values) < maxValues {
				code = int32(len(s.values))
				s.number[value] = code
				s.values = append(s.values, value)
			}
		}
		s.codes = append(s.codes, code)
	}
}

// slice is the rows with one value in one column.
type slice struct {
	column, value string
	rows          []int32
}

// slices returns the slices with most rows, in the order of their values, and
// how many there are in total.
func (s *sliceColumn) slices() (largest []slice, all int) {
	sizes := make([]int, len(s.values))
	for _, code := range s.codes {
		if code >= 0 {
			sizes[code]++
		}
	}
	byRows := make([]int32, len(s.values))
	for i := range byRows {
		byRows[i] = int32(i)
	}
	slices.SortFunc(byRows, func(a, b int32) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(s.values[a], s.values[b]))
	})
	byRows = byRows[:min(maxSlices, len(byRows))]

	at := make([]int, len(s.values)) // the place of a value among the largest, from 1
	for i, code := range byRows {
		at[code] = i + 1
		largest = append(largest, slice{column: s.name, value: s.values[code], rows: make([]int32, 0, sizes[code])})
	}
	for row, code := range s.codes {
		if code >= 0 && at[code] > 0 {
			l := &largest[at[code]-1]
			l.rows = append(l.rows, int32(row))
		}
	}
	slices.SortFunc(largest, func(a, b slice) int { return cmp.Compare(a.value, b.value) })
	return largest, len(s.values)
}
