package predictionlog

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"millrace.dev/shared/table"
	_ "millrace.dev/shared/table/duck" // registers DuckDB
)

// TestDuckDBReadsTheEncodersFiles reads the files with an independent reader.
func TestDuckDBReadsTheEncodersFiles(t *testing.T) {
	t.Parallel()
	schema := table.Schema{
		{Name: "id", Type: table.String}, {Name: "route", Type: table.String}, {Name: "n", Type: table.Int},
		{Name: "x", Type: table.Float}, {Name: "ok", Type: table.Bool}, {Name: "at", Type: table.Timestamp}, {Name: "none", Type: table.Float},
	}
	const n = 5003
	b := &table.Batch{Schema: schema, Rows: n, Columns: make([]table.Vector, len(schema))}
	c := b.Columns
	for i := range n {
		c[0].Strings = append(c[0].Strings, fmt.Sprint("request-", i))
		c[1].Strings = append(c[1].Strings, "champion")
		null := i%10 == 3
		c[2].Nulls = append(c[2].Nulls, null)
		if null {
			c[2].Ints = append(c[2].Ints, 0)
		} else {
			c[2].Ints = append(c[2].Ints, int64(i%100))
		}
		c[3].Floats = append(c[3].Floats, float64(i)/3)
		c[4].Bools = append(c[4].Bools, i%2 == 0)
		c[5].Ints = append(c[5].Ints, int64(i)*1_000_000)
		c[6].Floats = append(c[6].Floats, 0)
		c[6].Nulls = append(c[6].Nulls, true)
	}
	e, err := newEncoder(schema)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := e.append(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log.parquet")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	query := `SELECT concat_ws(' ', count(*), count(DISTINCT id), min(route), max(route), count(n), sum(n),
		round(sum(x), 1), count(*) FILTER (WHERE ok), CAST(epoch(max("at")) AS BIGINT), typeof(any_value("at")), count("none")) FROM '` + path + `'`
	if err := db.QueryRow(query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	var present, sum int
	var floats float64
	for i := range n {
		floats += float64(i) / 3
		if i%10 != 3 {
			present, sum = present+1, sum+i%100
		}
	}
	want := fmt.Sprintf("%d %d champion champion %d %d %.1f %d %d TIMESTAMP WITH TIME ZONE 0", n, n, present, sum, floats, (n+1)/2, n-1)
	if got != want {
		t.Errorf("DuckDB reads\n%s\nwant\n%s", got, want)
	}
}
