package table_test

import (
	"testing"

	"millrace.dev/shared/table"
)

// benchRows is a month or so of flights.
const benchRows = 100_000

func BenchmarkProfileFile(b *testing.B) {
	path := write(b, "a.parquet", mixed(1, benchRows))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.ProfileFile(b.Context(), path); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchRows*len(allTypes)), "ns/value")
}

func BenchmarkCheck(b *testing.B) {
	r := mixed(1, benchRows)
	for i := range r.columns[1] {
		r.columns[1][i] = int64(i)
	}
	path := write(b, "a.parquet", r)
	p := profile(b, path)
	rules := table.Rules{
		Columns: []table.ColumnRule{
			{Name: "name", Type: table.String, Nulls: 0.2, Values: []string{"a", "b", "c", "d", "e", "f", "g"}},
			{Name: "n", Type: table.Int, Min: new(float64(0)), Max: new(float64(benchRows))},
			{Name: "x", Type: table.Float, Nulls: 0.2, Min: new(float64(0)), Max: new(float64(1000))},
			{Name: "ok", Type: table.Bool, Nulls: 0.2},
			{Name: "at", Type: table.Timestamp, Nulls: 0.2},
		},
		ExtraReject: true,
		Rows:        []table.RowsRule{{Min: 1000}},
		Unique:      []table.UniqueRule{{Name: "unique", Columns: []string{"name", "n", "at"}}},
	}
	b.ReportAllocs()
	for b.Loop() {
		broken, err := table.Check(b.Context(), path, p, rules)
		if err != nil || len(broken) > 0 {
			b.Fatal(broken, err)
		}
	}
}

func BenchmarkMergeAndStore(b *testing.B) {
	p := profile(b, write(b, "a.parquet", mixed(1, benchRows)))
	q := profile(b, write(b, "b.parquet", mixed(2, benchRows)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := table.Merge(p, q)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.MarshalBinary(); err != nil {
			b.Fatal(err)
		}
	}
}
