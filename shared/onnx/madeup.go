package onnx

import (
	"math"
	"strconv"
)

// MadeUp returns rows that keep to what c says of its features: the values, else numbers from Min to Max; and small
// numbers, both truths and letters where it says nothing.
func (c Contract) MadeUp(rows int) *Batch { return madeUp(c, rows) }

func madeUp(c Contract, rows int) *Batch {
	b := &Batch{Rows: rows, Columns: make([]Column, len(c.Features))}
	for i, f := range c.Features {
		col := Column{Name: f.Name}
		for r := range rows {
			value := ""
			if len(f.Values) > 0 {
				value = f.Values[r%len(f.Values)]
			}
			switch f.Type {
			case String:
				if value == "" {
					value = string(rune('a' + r%26))
				}
				col.Strings = append(col.Strings, value)
			case Int:
				n, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					n = int64(f.within(float64(r%2), 1))
				}
				col.Ints = append(col.Ints, n)
			case Float:
				v, err := strconv.ParseFloat(value, 64)
				if err != nil {
					v = f.within(float64(r)/2, 0)
				}
				col.Floats = append(col.Floats, v)
			case Bool:
				col.Bools = append(col.Bools, r%2 == 1)
			case Timestamp:
				col.Ints = append(col.Ints, int64(r)*3_600_000_000)
			}
		}
		b.Columns[i] = col
	}
	return b
}

// within moves v, a small number, to where the feature's values are, in multiples of step if that is not 0.
func (f Feature) within(v, step float64) float64 {
	low, high := math.Inf(-1), math.Inf(1)
	if f.Min != nil {
		low = *f.Min
	}
	if f.Max != nil {
		high = *f.Max
	}
	if step != 0 {
		low, high = math.Ceil(low/step)*step, math.Floor(high/step)*step
	}
	switch {
	case !math.IsInf(low, 0) && low > 0, v < low:
		v += low
	case v > high:
		v = high - v
	}
	return max(low, min(v, high))
}
