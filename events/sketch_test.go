package events

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSketch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	var all []float64
	var whole, half, other Sketch
	for i := range 10_000 {
		x := r.NormFloat64() * math.Exp(r.NormFloat64()*3)
		all = append(all, x)
		whole.Add(SketchBin(x), 1)
		if i%2 == 0 {
			half.Add(SketchBin(x), 1)
		} else {
			other.Add(SketchBin(x), 1)
		}
	}
	half.Merge(other)
	if !slices.Equal(half.Bins, whole.Bins) || !slices.Equal(half.Counts, whole.Counts) || half.Count() != 10_000 {
		t.Error("two halves are not the whole")
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.1, 0.5, 0.9, 0.99} {
		want := all[int(q*10_000)-1]
		if got := whole.Quantile(q); math.Abs(got-want) > math.Abs(want)/16 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	var m mistakes
	whole.validate(&m)
	if err := m.err(); err != nil {
		t.Error(err)
	}
	if !math.IsNaN(Sketch{}.Quantile(0.5)) {
		t.Error("nothing has a median")
	}
}

func TestSketchBins(t *testing.T) {
	t.Parallel()
	for _, x := range []float64{0, 1e-300, 0.001, 0.5, 0.97, 1, -1, -0.3, 123456, -1e300} {
		low, high := SketchBounds(SketchBin(x))
		if x < low || x > high || high-low > math.Abs(x)/8 && x != 0 {
			t.Errorf("%v is in the bin from %v to %v", x, low, high)
		}
	}
	if SketchBin(0.97) <= SketchBin(0.9) || SketchBin(-2) >= SketchBin(-1) {
		t.Error("bins are not in order")
	}
}

func TestSketchValidates(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Sketch{
		"Lengths": {Bins: []int{1}}, "Order": {Bins: []int{2, 1}, Counts: []int64{1, 1}},
		"Twice": {Bins: []int{1, 1}, Counts: []int64{1, 1}}, "Zero": {Bins: []int{1}, Counts: []int64{0}},
	} {
		var m mistakes
		s.validate(&m)
		if m.err() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
