package table

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// MaxDistinct is the number of distinct values up to which a column is counted
// exactly.
const MaxDistinct = 100_000

// Probs are the probabilities at which a profile states quantiles.
var Probs = [...]float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99}

// Profile is what there is to know about a table without its rows.
// It is immutable and safe for concurrent use.
type Profile struct {
	Rows    int64           `json:"rows"`
	Columns []ColumnProfile `json:"columns"`
}

// Column returns the profile of the column called name, or nil.
func (p *Profile) Column(name string) *ColumnProfile {
	for i := range p.Columns {
		if p.Columns[i].Name == name {
			return &p.Columns[i]
		}
	}
	return nil
}

// ColumnProfile is the distribution of one column.
//
// Values are string, int64, float64, bool or time.Time, as the column's type
// has it. A float that is NaN or infinite is no number: it counts as a null,
// and NonFinite says how many there were.
//
// When Exact is true every figure is exact. When it is false the column has
// more than MaxDistinct distinct values, and: Count, Nulls, Min, Max, Mean and
// Std are still exact; Distinct has a standard error of 0.8 %; Quantiles are
// off by at most 0.5 % in rank; a count of Top may be too low, by at most Count/1000.
type ColumnProfile struct {
	Name      string       `json:"name"`
	Type      Type         `json:"type"`
	Count     int64        `json:"count"` // values that are not null
	Nulls     int64        `json:"nulls"`
	NonFinite int64        `json:"non_finite,omitempty"` // part of Nulls
	Min       any          `json:"min,omitempty"`        // nil without values; strings are compared by byte
	Max       any          `json:"max,omitempty"`
	Mean      *float64     `json:"mean,omitempty"`      // int, float; bool as the share of true
	Std       *float64     `json:"std,omitempty"`       // of the sample (n-1); nil with fewer than two values
	Quantiles []float64    `json:"quantiles,omitempty"` // at Probs, interpolated linearly; int, float and timestamp (µs)
	Distinct  int64        `json:"distinct"`
	Top       []ValueCount `json:"top,omitempty"` // the 20 most frequent; ties by value
	Exact     bool         `json:"exact"`

	// What the figures follow from; neither is there in a summary.
	values []entry // of an exact column: ascending
	sketch *sketch // of one that is not
}

// ValueCount is a value and how often it occurs.
type ValueCount struct {
	Value any   `json:"value"`
	Count int64 `json:"count"`
}

// Values yields the distinct values in ascending order with their counts. It
// yields nothing unless the column is Exact.
func (c *ColumnProfile) Values() iter.Seq2[any, int64] {
	return func(yield func(any, int64) bool) {
		for _, e := range c.values {
			if !yield(e.value(c.Type), e.n) {
				return
			}
		}
	}
}

// NullShare returns the share of nulls among all rows, 0 for an empty table.
func (c *ColumnProfile) NullShare() float64 {
	if c.Nulls == 0 {
		return 0
	}
	return float64(c.Nulls) / float64(c.Count+c.Nulls)
}

// Below reports whether a value of the column's type is less than all of its
// values; false if there are no values.
func (c *ColumnProfile) Below(v any) bool {
	return c.Count > 0 && compareEntries(entryOf(v), entryOf(c.Min)) < 0
}

// Above reports whether a value of the column's type is greater than all of its
// values; false if there are no values.
func (c *ColumnProfile) Above(v any) bool {
	return c.Count > 0 && compareEntries(entryOf(v), entryOf(c.Max)) > 0
}

// Summary returns the figures alone, without the counts of all values: for
// people, events and JSON. A Summary cannot be merged or compared for drift.
func (p *Profile) Summary() *Profile {
	s := &Profile{Rows: p.Rows, Columns: slices.Clone(p.Columns)}
	for i := range s.Columns {
		s.Columns[i].values, s.Columns[i].sketch = nil, nil
	}
	return s
}

// isSummary reports whether all there is of c are its figures.
func (c *ColumnProfile) isSummary() bool { return c.Count > 0 && c.values == nil && c.sketch == nil }

// newColumn states the figures of a column. A column of too many distinct
// values becomes a sketch.
func newColumn(name string, typ Type, nulls, nonFinite int64, values []entry, s *sketch) ColumnProfile {
	if s == nil && len(values) > MaxDistinct {
		s = newSketch(typ)
		s.add(typ, values)
	}
	c := ColumnProfile{Name: name, Type: typ, Nulls: nulls, NonFinite: nonFinite, Exact: s == nil, sketch: s}
	var m2, mean float64
	var order, top []entry
	if s != nil {
		c.Count, mean, m2 = s.count, s.mean, s.m2
		c.Min, c.Max = s.least.value(typ), s.greatest.value(typ)
		c.Distinct = int64(s.distinct.Estimate())
		top = s.top
		if s.quantiles != nil {
			order = s.quantiles.entries()
		}
	} else {
		c.values = values
		c.Count, mean, m2 = moments(typ, values)
		c.Distinct = int64(len(values))
		if c.Count > 0 {
			c.Min, c.Max = values[0].value(typ), values[len(values)-1].value(typ)
		}
		order, top = values, values
	}
	if typ == Int || typ == Float || typ == Timestamp {
		c.Quantiles = quantilesAt(typ, order, Probs[:])
	}
	if c.Count > 0 && (typ == Int || typ == Float || typ == Bool) {
		c.Mean = &mean
		if c.Count > 1 {
			std := math.Sqrt(m2 / float64(c.Count-1))
			c.Std = &std
		}
	}
	c.Top = mostFrequent(typ, top)
	return c
}

// quantilesAt returns the quantiles of values at ascending probabilities,
// interpolated as NumPy and pandas do by default.
func quantilesAt(typ Type, values []entry, probs []float64) []float64 {
	var n int64
	for _, e := range values {
		n += e.n
	}
	if n == 0 {
		return nil
	}
	at := make([]float64, len(probs))
	i, below := 0, int64(0) // how many values come before values[i]
	for k, p := range probs {
		pos := p * float64(n-1)
		rank := int64(pos)
		for below+values[i].n <= rank {
			below += values[i].n
			i++
		}
		at[k] = values[i].number(typ)
		if part := pos - float64(rank); part > 0 && below+values[i].n <= rank+1 {
			next := values[i+1].number(typ)
			if step := next - at[k]; finite(step) {
				at[k] += part * step
			} else {
				at[k] = at[k]*(1-part) + next*part
			}
		}
	}
	return at
}

// topValues is how many frequent values a profile names.
const topValues = 20

func mostFrequent(typ Type, values []entry) []ValueCount {
	var top []entry // the most frequent so far, in their order
	for _, e := range values {
		if len(top) == topValues {
			if e.n <= top[topValues-1].n {
				continue
			}
			top = top[:topValues-1]
		}
		i, _ := slices.BinarySearchFunc(top, e, func(a, b entry) int {
			return cmp.Or(cmp.Compare(b.n, a.n), compareEntries(a, b))
		})
		top = slices.Insert(top, i, e)
	}
	var counts []ValueCount
	for _, e := range top {
		counts = append(counts, ValueCount{Value: e.value(typ), Count: e.n})
	}
	return counts
}

// UnmarshalJSON reads a summary, giving values the types of the column.
func (c *ColumnProfile) UnmarshalJSON(data []byte) error {
	type plain ColumnProfile
	raw := struct {
		*plain
		Min json.RawMessage `json:"min"`
		Max json.RawMessage `json:"max"`
		Top []struct {
			Value json.RawMessage `json:"value"`
			Count int64           `json:"count"`
		} `json:"top"`
	}{plain: (*plain)(c)}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	var err error
	if c.Min, err = unmarshalValue(c.Type, raw.Min); err != nil {
		return fmt.Errorf("min of column %q: %w", c.Name, err)
	}
	if c.Max, err = unmarshalValue(c.Type, raw.Max); err != nil {
		return fmt.Errorf("max of column %q: %w", c.Name, err)
	}
	c.Top = nil
	for _, t := range raw.Top {
		v, err := unmarshalValue(c.Type, t.Value)
		if err != nil {
			return fmt.Errorf("top of column %q: %w", c.Name, err)
		}
		c.Top = append(c.Top, ValueCount{Value: v, Count: t.Count})
	}
	return nil
}

func unmarshalValue(typ Type, data []byte) (any, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	switch typ {
	case String:
		return unmarshalAs[string](data)
	case Int:
		return unmarshalAs[int64](data)
	case Float:
		return unmarshalAs[float64](data)
	case Bool:
		return unmarshalAs[bool](data)
	case Timestamp:
		return unmarshalAs[time.Time](data)
	}
	return nil, fmt.Errorf("unknown type %q", typ)
}

func unmarshalAs[T any](data []byte) (any, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}
