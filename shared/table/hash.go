package table

import (
	"math"

	"github.com/parquet-go/parquet-go/bloom/xxhash"
)

// hashNull stands for a null.
const hashNull = 0x6e756c6c6e756c6c

// hashColumn adds the hash of column v, which is called name, to the hashes of
// the rows. The sum does not depend on the order of columns, nor the hash of a
// row on anything but its names and values.
func hashColumn(rows []uint64, name string, v *Vector) {
	seed := xxhash.Sum64([]byte(name))
	for i := range rows {
		var h uint64
		switch {
		case v.Null(i):
			h = hashNull
		case v.Strings != nil:
			h = hashText(bytesOf(v.Strings[i]))
		case v.Floats != nil:
			h = hashFloat(v.Floats[i])
		case v.Bools != nil:
			h = mix(boolKey(v.Bools[i]))
		default:
			h = mix(intKey(v.Ints[i]))
		}
		rows[i] += mix(h ^ seed)
	}
}

func hashText(b []byte) uint64 { return xxhash.Sum64(b) }

// hashFloat gives all NaNs one hash, and 0 and -0.
func hashFloat(v float64) uint64 {
	if v != v {
		return mix(math.Float64bits(math.NaN()))
	}
	return mix(floatKey(v))
}

// runHasher adds the hashes of a column's values to those of the rows, run by
// run. Of a dictionary it hashes each value once.
type runHasher struct {
	typ    Type
	seed   uint64
	dict   *dictionary
	hashes []uint64 // of the dictionary
}

// add adds the hash of each row of r to rows, and marks nulls.
func (h *runHasher) add(rows []uint64, null []bool, r *run) {
	if r.dict != nil && r.dict != h.dict {
		h.dict = r.dict
		h.hashes = h.hashes[:0]
		for i := range r.dict.n {
			h.hashes = append(h.hashes, h.hash(i, r.dict.ints, r.dict.floats, r.dict.bits, r.dict.text, r.dict.ends))
		}
	}
	k := 0
	for i := range rows {
		if r.def != nil && r.def[i] == 0 {
			null[i] = true
			continue
		}
		if r.dict != nil {
			rows[i] += h.hashes[r.indices[k]]
		} else {
			rows[i] += h.hash(k, r.ints, r.floats, r.bits, r.text, r.ends)
		}
		k++
	}
}

// hash returns the hash of value i.
func (h *runHasher) hash(i int, ints []int64, floats []float64, bits, text []byte, ends []uint32) uint64 {
	var x uint64
	switch h.typ {
	case String:
		x = hashText(text[ends[i]:ends[i+1]])
	case Float:
		x = hashFloat(floats[i])
	case Bool:
		x = mix(boolKey(bit(bits, i)))
	default:
		x = mix(intKey(ints[i]))
	}
	return mix(x ^ h.seed)
}
