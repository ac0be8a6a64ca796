package table

import "slices"

// decoder turns runs into vectors. It keeps the strings of the dictionary it
// saw last, so that a string is made once for each row group and not once for
// each row.
type decoder struct {
	dict    *dictionary
	strings []string
}

// append adds the rows of r to v.
func (d *decoder) append(v *Vector, typ Type, r *run) {
	at := v.len(typ)
	if r.def != nil && v.Nulls == nil {
		v.Nulls = make([]bool, at, max(cap(v.Nulls), at+r.rows))
	}
	if v.Nulls != nil {
		v.Nulls = grow(v.Nulls, r.rows)
		for i, def := range r.def {
			v.Nulls[at+i] = def == 0
		}
	}
	switch typ {
	case Int, Timestamp:
		v.Ints = grow(v.Ints, r.rows)
		into := v.Ints[at:]
		if r.dict != nil {
			place(into, r.def, r.indices, func(i int32) int64 { return r.dict.ints[i] })
		} else {
			place(into, r.def, r.ints, func(x int64) int64 { return x })
		}
	case Float:
		v.Floats = grow(v.Floats, r.rows)
		into := v.Floats[at:]
		if r.dict != nil {
			place(into, r.def, r.indices, func(i int32) float64 { return r.dict.floats[i] })
		} else {
			place(into, r.def, r.floats, func(x float64) float64 { return x })
		}
	case Bool:
		v.Bools = grow(v.Bools, r.rows)
		d.bools(v.Bools[at:], r)
	case String:
		v.Strings = grow(v.Strings, r.rows)
		d.texts(v.Strings[at:], r)
	}
}

func (d *decoder) bools(into []bool, r *run) {
	if r.dict != nil {
		place(into, r.def, r.indices, func(i int32) bool { return bit(r.dict.bits, int(i)) })
		return
	}
	k := 0
	for i := range into {
		if r.def != nil && r.def[i] == 0 {
			continue
		}
		into[i] = bit(r.bits, k)
		k++
	}
}

func (d *decoder) texts(into []string, r *run) {
	if r.dict != nil {
		if d.dict != r.dict {
			d.dict, d.strings = r.dict, split(r.dict.text, r.dict.ends)
		}
		place(into, r.def, r.indices, func(i int32) string { return d.strings[i] })
		return
	}
	place(into, r.def, split(r.text, r.ends)[:r.values()], func(s string) string { return s })
}

// place writes the values to the rows that have one, and zero to the others.
func place[T, V any](into []T, def []byte, values []V, value func(V) T) {
	if def == nil {
		for i, x := range values[:len(into)] {
			into[i] = value(x)
		}
		return
	}
	var zero T
	k := 0
	for i, d := range def {
		if d == 0 {
			into[i] = zero
			continue
		}
		into[i] = value(values[k])
		k++
	}
}

// split copies the strings out of a page, all in one allocation.
func split(text []byte, ends []uint32) []string {
	all := string(text)
	s := make([]string, max(len(ends)-1, 0))
	for i := range s {
		s[i] = all[ends[i]:ends[i+1]]
	}
	return s
}

// grow returns s with n zero elements more.
func grow[T any](s []T, n int) []T {
	from := len(s)
	s = slices.Grow(s, n)[:from+n]
	clear(s[from:])
	return s
}
