package table_test

import (
	"reflect"
	"slices"
	"testing"

	"millrace.dev/shared/table"
)

// column is the profile of one column of the values.
func column(t *testing.T, typ table.Type, values ...any) *table.ColumnProfile {
	t.Helper()
	p := profile(t, write(t, "one.parquet", rows{table.Schema{{Name: "x", Type: typ}}, [][]any{values}}))
	return p.Column("x")
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var even, skewed []any
	for i := range 1000 {
		even, skewed = append(even, float64(i)), append(skewed, float64(i%100))
	}
	skewed[7] = 1e9
	for name, test := range map[string]struct {
		column *table.ColumnProfile
		bins   int
		edges  []float64
		counts []int64
	}{
		"even":                     {column(t, table.Float, even...), 4, []float64{0, 249.75, 499.5, 749.25, 999}, []int64{250, 250, 250, 250}},
		"a bin for each number":    {column(t, table.Int, 1, 1, 2, 4, nil), 20, []float64{0.5, 1.5, 2.5, 3.5, 4.5}, []int64{2, 1, 0, 1}},
		"one value":                {column(t, table.Float, 2.5, 2.5), 20, []float64{2.5, 2.5}, []int64{2}},
		"one far away is no scale": {column(t, table.Float, skewed...), 4, []float64{0, 0.9900000000000002, 49.995, 99, 1e9}, []int64{10, 489, 500, 1}},
		"text has none":            {column(t, table.String, "a", "b"), 20, nil, nil},
		"no values":                {column(t, table.Float, nil, nil), 20, nil, nil},
	} {
		edges := test.column.Edges(test.bins)
		if counts := test.column.Histogram(edges); !reflect.DeepEqual(edges, test.edges) || !reflect.DeepEqual(counts, test.counts) {
			t.Errorf("%s: %v %v, want %v %v", name, edges, counts, test.edges, test.counts)
		}
	}
}

// Values beyond the bounds, as those of another month, are in the outer bins;
// all values are counted, also of a sketch.
func TestHistogramOfOthers(t *testing.T) {
	t.Parallel()
	before := column(t, table.Int, -50, 1, 2, 3, 99)
	if got := before.Histogram([]float64{0.5, 1.5, 2.5}); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("%v", got)
	}
	many := make([]any, table.MaxDistinct+10)
	for i := range many {
		many[i] = i
	}
	c := column(t, table.Int, many...)
	if c.Exact {
		t.Fatal("the column is counted exactly")
	}
	var sum, least int64 = 0, 1 << 62
	for _, n := range c.Histogram(c.Edges(10)) {
		sum, least = sum+n, min(least, n)
	}
	if sum != c.Count || least < 9_500 {
		t.Errorf("%d of %d values, %d in the smallest bin", sum, c.Count, least)
	}
	summary := (&table.Profile{Columns: []table.ColumnProfile{*c}}).Summary()
	if got := summary.Columns[0].Histogram(c.Edges(10)); got != nil {
		t.Errorf("a summary has %v", got)
	}
}
