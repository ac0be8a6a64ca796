package events

import (
	"math"
	"slices"
)

// Sketch counts numbers by bins that are the same everywhere, so that two
// sketches make one by adding the counts of equal bins. A number is known
// within 1/16 of its size.
type Sketch struct {
	// Bins are those that have a count, ascending; see SketchBin.
	Bins []int `json:"bins"`
	// Counts belong to the bins.
	Counts []int64 `json:"counts"`
}

// sketchBits are the bits of a number below those that say its bin: what is
// left is its sign, its exponent and the first four bits of its fraction.
const sketchBits = 48

// SketchBin is the bin of a number: 16 of the same width from each power of
// two to the next. Bin 0 is zero and what is next to it; negative numbers have
// negative bins. NaN and the infinities have the outermost bins.
func SketchBin(x float64) int {
	bin := int(math.Float64bits(math.Abs(x)) >> sketchBits) //nolint:gosec // 15 bits
	if math.Signbit(x) {
		return -bin
	}
	return bin
}

// SketchBounds are the least and the largest size of the numbers of a bin.
func SketchBounds(bin int) (low, high float64) {
	size := uint64(max(bin, -bin)) //nolint:gosec // not negative
	low, high = math.Float64frombits(size<<sketchBits), math.Float64frombits((size+1)<<sketchBits)
	if bin < 0 {
		return -high, -low
	}
	return low, high
}

// Add counts n more numbers of a bin.
func (s *Sketch) Add(bin int, n int64) {
	at, found := slices.BinarySearch(s.Bins, bin)
	if !found {
		s.Bins = slices.Insert(s.Bins, at, bin)
		s.Counts = slices.Insert(s.Counts, at, 0)
	}
	s.Counts[at] += n
}

// Merge adds the counts of another sketch.
func (s *Sketch) Merge(other Sketch) {
	for i, bin := range other.Bins {
		s.Add(bin, other.Counts[i])
	}
}

// Count is how many numbers were counted.
func (s Sketch) Count() int64 {
	var n int64
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Quantile is the number below which the share q of all numbers is, within a
// bin: the middle of the bin. It is NaN when nothing was counted.
func (s Sketch) Quantile(q float64) float64 {
	rank, seen := q*float64(s.Count()), int64(0)
	for i, bin := range s.Bins {
		seen += s.Counts[i]
		if float64(seen) >= rank && seen > 0 {
			low, high := SketchBounds(bin)
			return (low + high) / 2
		}
	}
	return math.NaN()
}

func (s Sketch) validate(m *mistakes) {
	m.add(len(s.Bins) == len(s.Counts), "scores has %d bins and %d counts", len(s.Bins), len(s.Counts))
	for i := 1; i < len(s.Bins); i++ {
		m.add(s.Bins[i-1] < s.Bins[i], "the bins of scores do not ascend: %d before %d", s.Bins[i-1], s.Bins[i])
	}
	m.add(!slices.ContainsFunc(s.Counts, func(n int64) bool { return n <= 0 }), "a count of scores is not positive")
}
