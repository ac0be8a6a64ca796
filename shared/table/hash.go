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
