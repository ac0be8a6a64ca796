package table_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"millrace.dev/shared/table"
)

// sample repeats what testdata/drift.py draws.
func sample(kind string, seed noise, n int) []any {
	values := make([]any, n)
	for i := range values {
		u := seed.float()
		switch kind {
		case "shifted":
			u += 0.1
		case "square":
			u *= u
		case "constant":
			u = 1
		case "scaled":
			u = u*1000 - 300
		case "steps":
			u = math.Floor(u * 7)
		case "steps_skewed":
			u = math.Floor(u * u * 9)
		}
		values[i] = u
	}
	return values
}

// TestDriftAgainstSciPy compares with testdata/drift.json, which
// testdata/drift.py writes.
func TestDriftAgainstSciPy(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/drift.json")
	if err != nil {
		t.Fatal(err)
	}
	type draw struct {
		Kind string
		Seed uint64
		N    int
	}
	var cases struct {
		Samples []struct {
			Ref, Cur    draw
			KS, P       float64
			PSI10, PSI5 float64
			PSIValues   *float64 `json:"psi_values"`
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	column := func(d draw, typ table.Type) *table.ColumnProfile {
		values := sample(d.Kind, noise(d.Seed), d.N)
		if typ == table.String {
			for i, v := range values {
				values[i] = string(rune('a' + int(v.(float64))))
			}
		}
		return profile(t, write(t, "a.parquet", rows{table.Schema{{Name: "x", Type: typ}}, [][]any{values}})).Column("x")
	}
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	for _, c := range cases.Samples {
		t.Run(c.Ref.Kind+" to "+c.Cur.Kind, func(t *testing.T) {
			ref, cur := column(c.Ref, table.Float), column(c.Cur, table.Float)
			d, p, err := table.KS(ref, cur)
			if err != nil {
				t.Fatal(err)
			}
			near("ks", d, c.KS, 1e-12)
			near("p", p, c.P, 1e-9*max(c.P, 1e-4))
			for bins, want := range map[int]float64{10: c.PSI10, 5: c.PSI5} {
				got, _, err := table.PSI(ref, cur, bins)
				if err != nil {
					t.Fatal(err)
				}
				near("psi", got, want, 1e-9)
			}
			if c.PSIValues != nil {
				got, _, err := table.PSI(column(c.Ref, table.String), column(c.Cur, table.String), 10)
				if err != nil {
					t.Fatal(err)
				}
				near("psi of strings", got, *c.PSIValues, 1e-9)
			}
		})
	}
}

// A constant that becomes another one has moved, and so has one of two values
// that takes all.
func TestPSIOfConstants(t *testing.T) {
	t.Parallel()
	column := func(values ...any) *table.ColumnProfile {
		return profile(t, write(t, "a.parquet", rows{table.Schema{{Name: "x", Type: table.Float}}, [][]any{values}})).Column("x")
	}
	many := func(x float64, n int) []any { return slices.Repeat([]any{x}, n) }
	mixed := append(many(3, 95), many(100, 5)...)
	for name, c := range map[string]struct {
		ref, cur []any
		moved    bool
	}{
		"the same":        {many(0, 100), many(0, 50), false},
		"another":         {many(0, 100), many(1, 100), true},
		"below":           {many(0, 100), many(-1, 100), true},
		"the rarer takes": {mixed, many(100, 100), true},
		"as before":       {mixed, mixed, false},
	} {
		index, cells, err := table.PSI(column(c.ref...), column(c.cur...), 10)
		if err != nil || (index > 0.2) != c.moved || (index > table.PSIByChance(cells, int64(len(c.ref)), int64(len(c.cur)))) != c.moved {
			t.Errorf("%s: psi %v of %d cells, %v", name, index, cells, err)
		}
	}
}

// Values that were never there are told from the next ones of a long tail.
func TestNewValues(t *testing.T) {
	t.Parallel()
	column := func(count map[string]int) *table.ColumnProfile {
		var values []any
		for _, v := range slices.Sorted(maps.Keys(count)) {
			values = append(values, slices.Repeat([]any{v}, count[v])...)
		}
		return profile(t, write(t, "a.parquet", rows{table.Schema{{Name: "x", Type: table.String}}, [][]any{values}})).Column("x")
	}
	ref := map[string]int{"a": 500, "b": 500}
	tail := map[string]int{"a": 500}
	for i := range 200 {
		tail[fmt.Sprintf("once-%d", i)] = 1
	}
	for name, c := range map[string]struct {
		ref, cur map[string]int
		share    float64
		least    float64
		most     float64
	}{
		"none":             {ref, map[string]int{"a": 10, "b": 5}, 0, 1, 1},
		"three of hundred": {ref, map[string]int{"a": 97, "c": 3}, 0.03, 1e-3, 1e-2},
		"thirty":           {ref, map[string]int{"a": 970, "c": 30}, 0.03, 0, 1e-15},
		"of a long tail":   {tail, map[string]int{"a": 70, "x": 15, "y": 15}, 0.3, 0.1, 1},
	} {
		share, p, err := table.NewValues(column(c.ref), column(c.cur))
		if err != nil || math.Abs(share-c.share) > 1e-12 || p < c.least || p > c.most {
			t.Errorf("%s: share %v, p %v, %v", name, share, p, err)
		}
	}
}

func TestDriftOfSketches(t *testing.T) {
	t.Parallel()
	ref := profile(t, write(t, "a.parquet", rows{table.Schema{{Name: "x", Type: table.Float}}, [][]any{sample("uniform", 1, 120_000)}})).Column("x")
	cur := profile(t, write(t, "b.parquet", rows{table.Schema{{Name: "x", Type: table.Float}}, [][]any{sample("shifted", 2, 120_000)}})).Column("x")
	if ref.Exact || cur.Exact {
		t.Fatal("expected sketches")
	}
	d, p, err := table.KS(ref, cur)
	if err != nil || math.Abs(d-0.1) > 0.012 || p > 1e-6 {
		t.Errorf("ks = %v, p = %v, %v", d, p, err)
	}
	same, _, err := table.PSI(ref, ref, 10)
	if err != nil || same != 0 {
		t.Errorf("psi with itself = %v, %v", same, err)
	}
	if psi, _, err := table.PSI(ref, cur, 10); err != nil || psi < 0.5 {
		t.Errorf("psi = %v, %v", psi, err)
	}
}

// Two values cannot differ by more than chance.
func TestKSOfOneValueEach(t *testing.T) {
	t.Parallel()
	column := func(x float64) *table.ColumnProfile {
		return profile(t, write(t, "a.parquet", rows{table.Schema{{Name: "x", Type: table.Float}}, [][]any{{x}}})).Column("x")
	}
	if d, p, err := table.KS(column(1), column(2)); err != nil || d != 1 || p != 1 {
		t.Errorf("ks = %v, p = %v, %v", d, p, err)
	}
}

func TestDriftRefuses(t *testing.T) {
	t.Parallel()
	p := profile(t, write(t, "a.parquet", mixed(1, 100)))
	empty := profile(t, write(t, "b.parquet", mixed(1, 0)))
	for name, pair := range map[string][2]*table.ColumnProfile{
		"two types": {p.Column("n"), p.Column("x")},
		"no values": {p.Column("n"), empty.Column("n")},
		"not there": {p.Column("n"), p.Column("none")},
		"a summary": {p.Column("n"), p.Summary().Column("n")},
	} {
		if _, _, err := table.PSI(pair[0], pair[1], 10); err == nil {
			t.Errorf("%s: psi has an answer", name)
		}
		if _, _, err := table.KS(pair[0], pair[1]); err == nil {
			t.Errorf("%s: ks has an answer", name)
		}
	}
	if _, _, err := table.KS(p.Column("name"), p.Column("name")); err == nil {
		t.Error("ks of strings has an answer")
	}
}
