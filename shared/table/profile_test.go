package table_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"millrace.dev/shared/table"
)

func profile(t testing.TB, path string) *table.Profile {
	t.Helper()
	p, err := table.ProfileFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stored(t testing.TB, p *table.Profile) []byte {
	t.Helper()
	data, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestProfileOfFewRows(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	path := write(t, "a.parquet", rows{allTypes, [][]any{
		{"b", "a", nil, "b", "c"},
		{3, -1, nil, 3, 10},
		{2.5, nan, inf, -1.5, nil},
		{true, false, true, nil, true},
		{epoch, nil, epoch.Add(time.Hour), epoch, epoch},
	}})
	p := profile(t, path)
	if p.Rows != 5 {
		t.Errorf("%d rows", p.Rows)
	}
	got, err := json.MarshalIndent(p.Columns, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
 {"name": "name", "type": "string", "count": 4, "nulls": 1, "min": "a", "max": "c", "distinct": 3,
  "top": [{"value": "b", "count": 2}, {"value": "a", "count": 1}, {"value": "c", "count": 1}], "exact": true},
 {"name": "n", "type": "int", "count": 4, "nulls": 1, "min": -1, "max": 10, "mean": 3.75, "std": 4.573474244670748,
  "quantiles": [-0.88, -0.3999999999999999, 2, 3, 4.75, 8.949999999999998, 9.79], "distinct": 3,
  "top": [{"value": 3, "count": 2}, {"value": -1, "count": 1}, {"value": 10, "count": 1}], "exact": true},
 {"name": "x", "type": "float", "count": 2, "nulls": 3, "non_finite": 2, "min": -1.5, "max": 2.5, "mean": 0.5, "std": 2.8284271247461903,
  "quantiles": [-1.46, -1.3, -0.5, 0.5, 1.5, 2.3, 2.46], "distinct": 2,
  "top": [{"value": -1.5, "count": 1}, {"value": 2.5, "count": 1}], "exact": true},
 {"name": "ok", "type": "bool", "count": 4, "nulls": 1, "min": false, "max": true, "mean": 0.75, "std": 0.5, "distinct": 2,
  "top": [{"value": true, "count": 3}, {"value": false, "count": 1}], "exact": true},
 {"name": "at", "type": "timestamp", "count": 4, "nulls": 1, "min": "2013-01-01T00:00:00Z", "max": "2013-01-01T01:00:00Z",
  "quantiles": [1356998400000000, 1356998400000000, 1356998400000000, 1356998400000000, 1356999300000000, 1357001460000000, 1357001892000000], "distinct": 2,
  "top": [{"value": "2013-01-01T00:00:00Z", "count": 3}, {"value": "2013-01-01T01:00:00Z", "count": 1}], "exact": true}
]`
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got %s", got)
	}
	t.Run("values", func(t *testing.T) {
		var values []string
		for v, n := range p.Column("name").Values() {
			values = append(values, fmt.Sprintf("%v %d", v, n))
		}
		if !slices.Equal(values, []string{"a 1", "b 2", "c 1"}) {
			t.Errorf("got %v", values)
		}
	})
	t.Run("summary and back", func(t *testing.T) {
		s := p.Summary()
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back table.Profile
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&back, s) {
			t.Errorf("got %+v\nwant %+v", back, s)
		}
		if _, err := table.Merge(&back, p); err == nil {
			t.Error("a summary was merged")
		}
		if _, err := back.MarshalBinary(); err == nil {
			t.Error("a summary was stored as a profile")
		}
	})
}

func TestProfileOfManyRowsIsExact(t *testing.T) {
	t.Parallel()
	r := mixed(3, 130_000)
	p := profile(t, write(t, "a.parquet", r))
	x := p.Column("x")
	var values []float64
	for _, v := range r.columns[2] {
		if v != nil {
			values = append(values, v.(float64))
		}
	}
	slices.Sort(values)
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	mean := sum / float64(len(values))
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	std := math.Sqrt(squares / float64(len(values)-1))
	if x.Exact {
		t.Fatal("the column has more values than are counted")
	}
	if x.Count != int64(len(values)) || x.Min != values[0] || x.Max != values[len(values)-1] {
		t.Errorf("count, min, max = %d, %v, %v", x.Count, x.Min, x.Max)
	}
	if math.Abs(*x.Mean/mean-1) > 1e-9 || math.Abs(*x.Std/std-1) > 1e-9 {
		t.Errorf("mean, std = %v, %v, want %v, %v", *x.Mean, *x.Std, mean, std)
	}
	for i, q := range x.Quantiles {
		at, _ := slices.BinarySearch(values, q)
		if off := math.Abs(float64(at)/float64(len(values)) - table.Probs[i]); off > 0.005 {
			t.Errorf("quantile %v is off by %v in rank", table.Probs[i], off)
		}
	}
	distinct := len(slices.Compact(values))
	if off := math.Abs(float64(x.Distinct)/float64(distinct) - 1); off > 3*0.0081 {
		t.Errorf("%d distinct values, want about %d", x.Distinct, distinct)
	}
}

func TestMergeIsMeasuringAtOnce(t *testing.T) {
	t.Parallel()
	r := mixed(5, 150_000)
	r.columns[2] = r.columns[1] // few values, so that all columns are exact
	r.schema = slices.Clone(r.schema)
	r.schema[2].Type = table.Int
	whole := write(t, "whole.parquet", r)
	var parts []string
	for i, end := range []int{100, 70_000, 150_000} {
		start := []int{0, 100, 70_000}[i]
		part := rows{schema: r.schema}
		for _, c := range r.columns {
			part.columns = append(part.columns, c[start:end])
		}
		parts = append(parts, write(t, "part.parquet", part))
	}
	merged, err := table.ProfileFiles(t.Context(), parts...)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored(t, merged), stored(t, profile(t, whole))) {
		t.Error("the merged profile differs from that of all rows")
	}
	if !reflect.DeepEqual(merged.Summary(), profile(t, whole).Summary()) {
		t.Error("the merged figures differ")
	}
}

func TestMergeOfSketches(t *testing.T) {
	t.Parallel()
	a := profile(t, write(t, "a.parquet", mixed(1, 130_000)))
	b := profile(t, write(t, "b.parquet", mixed(2, 130_000)))
	before := stored(t, a)
	m, err := table.Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, stored(t, a)) {
		t.Error("merging changed a profile")
	}
	x := m.Column("x")
	if x.Count != a.Column("x").Count+b.Column("x").Count || x.Nulls != a.Column("x").Nulls+b.Column("x").Nulls {
		t.Errorf("count, nulls = %d, %d", x.Count, x.Nulls)
	}
	for i, q := range x.Quantiles { // x is uniform on 0 to 1000
		if off := math.Abs(q/1000 - table.Probs[i]); off > 0.008 {
			t.Errorf("quantile %v is %v", table.Probs[i], q)
		}
	}
	again, err := table.Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored(t, m), stored(t, again)) {
		t.Error("merging again gives other bytes")
	}
}

func TestMergeOfDifferentColumns(t *testing.T) {
	t.Parallel()
	a := profile(t, write(t, "a.parquet", rows{table.Schema{{Name: "a", Type: table.Int}}, [][]any{{1, 2}}}))
	b := profile(t, write(t, "b.parquet", rows{table.Schema{{Name: "a", Type: table.Int}, {Name: "b", Type: table.String}}, [][]any{{1}, {"x"}}}))
	c := profile(t, write(t, "c.parquet", rows{table.Schema{{Name: "a", Type: table.String}}, [][]any{{"1"}}}))
	m, err := table.Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if col := m.Column("b"); m.Rows != 3 || col.Count != 1 || col.Nulls != 2 {
		t.Errorf("got %+v", col)
	}
	_, err = table.Merge(a, c)
	if u := unreadable(t, err); u.Column != "a" {
		t.Errorf("got %v", u)
	}
}

func TestManyStrings(t *testing.T) {
	t.Parallel()
	r := rows{schema: table.Schema{{Name: "id", Type: table.String}}, columns: make([][]any, 1)}
	for i := range 130_000 {
		id := fmt.Sprintf("id-%d", i)
		if i%10 == 0 {
			id = "often"
		}
		r.columns[0] = append(r.columns[0], id)
	}
	p := profile(t, write(t, "a.parquet", r)).Column("id")
	if p.Exact || p.Count != 130_000 || p.Min != "id-1" || p.Max != "often" {
		t.Errorf("got %+v", p)
	}
	if off := math.Abs(float64(p.Distinct)/117_001 - 1); off > 3*0.0081 {
		t.Errorf("%d distinct", p.Distinct)
	}
	if top := p.Top[0]; top.Value != "often" || top.Count > 13_000 || top.Count < 13_000-p.Count/1000 {
		t.Errorf("top is %+v", top)
	}
}

func TestStoredProfile(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"exact": 1000, "sketches": 130_000, "no rows": 0} {
		t.Run(name, func(t *testing.T) {
			p := profile(t, write(t, "a.parquet", mixed(9, n)))
			data := stored(t, p)
			var back table.Profile
			if err := back.UnmarshalBinary(data); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back.Summary(), p.Summary()) {
				t.Error("figures differ")
			}
			if !bytes.Equal(stored(t, &back), data) {
				t.Error("stored again it has other bytes")
			}
		})
	}
}

func FuzzStoredProfile(f *testing.F) {
	for _, n := range []int{0, 3, 500} {
		p := profile(f, write(f, "a.parquet", mixed(9, n)))
		f.Add(stored(f, p))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p table.Profile
		if p.UnmarshalBinary(data) != nil {
			return
		}
		again, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back table.Profile
		if err := back.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(back); err != nil {
			t.Fatal(err)
		}
	})
}

// TestExtremes is about values at the ends of their types: every figure can be
// written as JSON.
func TestExtremes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 130_000} { // exact, and sketches
		r := rows{schema: table.Schema{{Name: "x", Type: table.Float}, {Name: "n", Type: table.Int}, {Name: "at", Type: table.Timestamp}}, columns: make([][]any, 3)}
		for i := range n {
			sign := float64(1 - i&1*2)
			r.columns[0] = append(r.columns[0], sign*(math.MaxFloat64-float64(i)*1e295))
			r.columns[1] = append(r.columns[1], []int64{math.MinInt64, math.MaxInt64}[i&1])
			r.columns[2] = append(r.columns[2], []any{time.UnixMicro(math.MinInt64), time.UnixMicro(math.MaxInt64)}[i&1])
		}
		p := profile(t, write(t, "a.parquet", r))
		m, err := table.Merge(p, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*table.Profile{p, m} {
			if _, err := json.Marshal(p); err != nil {
				t.Errorf("%d rows: %v", n, err)
			}
			if psi, _, err := table.PSI(p.Column("x"), p.Column("x"), 10); err != nil || psi != 0 {
				t.Errorf("psi = %v, %v", psi, err)
			}
		}
	}
}
