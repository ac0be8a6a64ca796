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

// len returns the number of rows of a column of this type.
func (v *Vector) len(typ Type) int {
	switch typ {
	case String:
		return len(v.Strings)
	case Float:
		return len(v.Floats)
	case Bool:
		return len(v.Bools)
	default:
		return len(v.Ints)
	}
}

// slice returns rows from to to.
func (v *Vector) slice(typ Type, from, to int) Vector {
	var s Vector
	switch typ {
	case String:
		s.Strings = v.Strings[from:to]
	case Float:
		s.Floats = v.Floats[from:to]
	case Bool:
		s.Bools = v.Bools[from:to]
	default:
		s.Ints = v.Ints[from:to]
	}
	if v.Nulls != nil {
		s.Nulls = v.Nulls[from:to]
	}
	return s
}

// truncate forgets the rows and keeps their memory.
func (v *Vector) truncate() {
	clear(v.Strings) // let go of what they point to
	v.Strings, v.Ints, v.Floats, v.Bools = v.Strings[:0], v.Ints[:0], v.Floats[:0], v.Bools[:0]
	v.Nulls = nil
}
