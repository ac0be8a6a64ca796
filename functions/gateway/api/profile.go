package api

import "time"

// Profile is what a snapshot of a dataset, or one of its partitions, holds,
// column by column.
type Profile struct {
	Pipeline string `json:"pipeline"`
	// Snapshot is the digest of the snapshot; empty for a partition.
	Snapshot string `json:"snapshot,omitempty"`
	// Partition is the object that the partition came from; empty for a snapshot.
	Partition string `json:"partition,omitempty"`
	// Partitions is how many a snapshot has.
	Partitions int             `json:"partitions,omitempty"`
	Rows       int64           `json:"rows"`
	Created    time.Time       `json:"created"`
	Columns    []ProfileColumn `json:"columns"`
	// Before is the snapshot before this one, or the one that the partition
	// joined. Its histograms have the bounds of this one's.
	Before *Profile `json:"before,omitempty"`
}

// ProfileColumn is the distribution of one column.
//
// When Exact is true every figure is exact. When it is false the column has more
// than 100,000 distinct values: Count, Nulls, Min, Max, Mean and Std are still
// exact, the others are estimates.
type ProfileColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Count is the number of values, Nulls that of missing values. NonFinite is
	// how many of Nulls were NaN or infinite.
	Count     int64 `json:"count"`
	Nulls     int64 `json:"nulls"`
	NonFinite int64 `json:"nonFinite,omitempty"`
	Distinct  int64 `json:"distinct"`
	Exact     bool  `json:"exact"`
	// Min and Max are values of the column's type, times in RFC 3339.
	Min  any      `json:"min,omitempty"`
	Max  any      `json:"max,omitempty"`
	Mean *float64 `json:"mean,omitempty"`
	Std  *float64 `json:"std,omitempty"`
	// Quantiles are there for int, float and timestamp.
	Quantiles []Quantile `json:"quantiles,omitempty"`
	// Top has the most frequent values, at most 20.
	Top []ValueCount `json:"top,omitempty"`
	// Histogram is there for int, float and timestamp.
	Histogram []Bin `json:"histogram,omitempty"`
}

// Quantile is the value below which a share of the values lies.
type Quantile struct {
	Share float64 `json:"share"`
	Value any     `json:"value"`
}

// ValueCount is a value and how often it occurs.
type ValueCount struct {
	Value any   `json:"value"`
	Count int64 `json:"count"`
}

// Bin is one bar of a histogram: how many values are above From, up to To.
type Bin struct {
	From  any   `json:"from"`
	To    any   `json:"to"`
	Count int64 `json:"count"`
}
