package table

import (
	"context"
	"iter"
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
func (p *Profile) Column(name string) *ColumnProfile { panic("not yet") }

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
}

// ValueCount is a value and how often it occurs.
type ValueCount struct {
	Value any   `json:"value"`
	Count int64 `json:"count"`
}

// Values yields the distinct values in ascending order with their counts. It
// yields nothing unless the column is Exact.
func (c *ColumnProfile) Values() iter.Seq2[any, int64] { panic("not yet") }

// NullShare returns the share of nulls among all rows, 0 for an empty table.
func (c *ColumnProfile) NullShare() float64 { panic("not yet") }

// ProfileFile measures the canonical Parquet file at path, on up to GOMAXPROCS
// threads. Memory does not grow with the number of rows.
func ProfileFile(ctx context.Context, path string) (*Profile, error) { panic("not yet") }

// ProfileFiles measures several files as if they were one table. Columns that
// some of them lack are null there; a column of two types is an *Unreadable.
func ProfileFiles(ctx context.Context, paths ...string) (*Profile, error) { panic("not yet") }

// Merge returns the profile of all rows that ps measured, in the order of ps.
// See ProfileFiles for columns that differ.
func Merge(ps ...*Profile) (*Profile, error) { panic("not yet") }

// Summary returns the figures alone, without the counts of all values: for
// people, events and JSON. A Summary can't be merged or compared for drift.
func (p *Profile) Summary() *Profile { panic("not yet") }

// MarshalBinary returns the whole profile, compressed: the same bytes for the
// same profile. JSON (of Profile or Summary) has the figures only.
func (p *Profile) MarshalBinary() ([]byte, error) { panic("not yet") }

// UnmarshalBinary reads what MarshalBinary wrote.
func (p *Profile) UnmarshalBinary(data []byte) error { panic("not yet") }
