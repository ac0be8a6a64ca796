package table

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestProbabilitiesAgainstSciPy compares with testdata/drift.json, which
// testdata/drift.py writes.
func TestProbabilitiesAgainstSciPy(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/drift.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Kolmogorov [][3]float64
		Differ     [][5]float64
		Binomial   [][4]float64
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64, of ...float64) {
		if math.Abs(got-want) > 1e-9+1e-8*want || want > 1e-300 && want < 1e-9 && math.Abs(got/want-1) > 1e-6 {
			t.Errorf("%s of %v = %v, want %v", what, of, got, want)
		}
	}
	for _, c := range want.Kolmogorov {
		near("kolmogorov", kolmogorov(int(c[0]), c[1]), c[2], c[0], c[1])
	}
	for _, c := range want.Differ {
		near("shares", SharesDiffer(int64(c[0]), int64(c[1]), int64(c[2]), int64(c[3])), c[4], c[:4]...)
	}
	for _, c := range want.Binomial {
		near("binomial", binomialAtLeast(c[0], c[1], c[2]), c[3], c[:3]...)
	}
	if len(want.Kolmogorov) < 100 || len(want.Differ) < 8 || len(want.Binomial) < 5 {
		t.Errorf("%d, %d and %d values", len(want.Kolmogorov), len(want.Differ), len(want.Binomial))
	}
}
