package table_test

import (
	"path/filepath"
	"testing"

	"millrace.dev/shared/table"
)

// BenchmarkSplit splits 200,000 rows of five columns.
func BenchmarkSplit(b *testing.B) {
	const rows = 200_000
	path := write(b, "a.parquet", mixed(1, rows))
	names := mixed(1, 1).schema.Names()
	for _, by := range []string{table.ByTime, table.ByHash, table.ByRandom} {
		b.Run(by, func(b *testing.B) {
			split := table.Split{Fraction: 0.2, By: by, Time: names[4], Features: names[:3], Label: names[3], Stratify: by == table.ByRandom}
			for b.Loop() {
				dir := b.TempDir()
				if _, err := split.Apply(b.Context(), []string{path}, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
