package table

import (
	"math"
	"slices"
	"testing"
)

// TestQuantilesRank holds the stated error, on orders of input that are hard on
// a sketch without chance.
func TestQuantilesRank(t *testing.T) {
	t.Parallel()
	const n = 400_000
	orders := map[string]func(i int) uint64{
		"ascending":  func(i int) uint64 { return uint64(i) },
		"descending": func(i int) uint64 { return uint64(n - i) },
		"shuffled":   func(i int) uint64 { return mix(uint64(i)) },
		"zigzag":     func(i int) uint64 { return uint64(i*(1-i&1*2) + n) },
		"two waves":  func(i int) uint64 { return uint64(i%1024)*n + uint64(i) },
	}
	for name, value := range orders {
		t.Run(name, func(t *testing.T) {
			half, q := &quantiles{}, &quantiles{}
			all := make([]uint64, n)
			for i := range all {
				all[i] = value(i)
				if i < n/2 {
					half.add(all[i], 1)
				} else {
					q.add(all[i], 1)
				}
			}
			q.merge(half)
			slices.Sort(all)
			var seen int64
			worst := 0.
			for _, e := range q.entries() {
				seen += e.n
				rank, _ := slices.BinarySearch(all, e.key)
				worst = max(worst, math.Abs(float64(int64(rank)-seen))/n)
			}
			if seen != n {
				t.Errorf("the sketch stands for %d values", seen)
			}
			if worst > 0.005 {
				t.Errorf("rank is off by %.4f", worst)
			}
			t.Logf("rank is off by %.4f", worst)
		})
	}
}

func TestKeysKeepOrder(t *testing.T) {
	t.Parallel()
	floats := []float64{-math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 1, math.MaxFloat64}
	for i, v := range floats {
		if keyFloat(floatKey(v)) != v {
			t.Errorf("%v comes back as %v", v, keyFloat(floatKey(v)))
		}
		if i > 0 && floatKey(floats[i-1]) >= floatKey(v) {
			t.Errorf("%v and %v are out of order", floats[i-1], v)
		}
	}
	if floatKey(math.Copysign(0, -1)) != floatKey(0) {
		t.Error("-0 is not 0")
	}
	ints := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
	for i, v := range ints[1:] {
		if intKey(ints[i]) >= intKey(v) || keyInt(intKey(v)) != v {
			t.Errorf("%d is out of order", v)
		}
	}
}

func TestHashSetSpills(t *testing.T) {
	t.Parallel()
	const n = 3*inMemory + 17
	s := &hashSet{rows: n}
	defer s.close()
	hashes := make([]uint64, 0, 1000)
	skip := make([]bool, 1000)
	skip[0] = true
	for i := 0; i < n; i += 1000 {
		hashes = hashes[:0]
		for k := range min(1000, n-i) {
			hashes = append(hashes, mix(uint64((i+k)%(n-50))))
		}
		if err := s.add(hashes, skip); err != nil {
			t.Fatal(err)
		}
	}
	if s.file == nil {
		t.Error("nothing was spilled")
	}
	count, which, err := s.repeated()
	if err != nil {
		t.Fatal(err)
	}
	// 50 repeat; those at multiples of 1000 were skipped.
	if count < 49 || count > 50 || int64(len(which)) != count {
		t.Errorf("%d hashes repeat, %d of them known", count, len(which))
	}
}
