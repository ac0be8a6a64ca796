package table

// Batch is some rows of a table, by column.
type Batch struct {
	Schema  Schema
	Rows    int
	Columns []Vector // as many as Schema has
}

// Column returns the values of the column called name, or nil.
func (b *Batch) Column(name string) *Vector {
	if i := b.Schema.Index(name); i >= 0 {
		return &b.Columns[i]
	}
	return nil
}

// Vector is the values of one column of a Batch: one of the slices is set, by
// the column's type, and has Rows elements. The value of a null is zero.
type Vector struct {
	Strings []string
	Ints    []int64 // int; timestamp as microseconds since 1970, UTC
	Floats  []float64
	Bools   []bool
	Nulls   []bool // nil if nothing is null
}

// Null reports whether row i is null.
func (v *Vector) Null(i int) bool { return v.Nulls != nil && v.Nulls[i] }
