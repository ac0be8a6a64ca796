package duck_test

import (
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/shared/table/duck"
)

// Folders of a key are columns where the contract has them and the file has not.
func TestFoldersOfKeys(t *testing.T) {
	t.Parallel()
	parquetFile := parquet(t, "SELECT 1.5 AS x")
	csvFile := file(t, "a.csv", "x\n1.5\n")
	for _, test := range []struct{ path, name, columns, sql, want string }{
		{csvFile, "in/month=7/a.csv", "x float, month int", "", "x float, month int\n1.5 7"},
		{parquetFile, "in/month=7/part-0.parquet", "month int, x float", "", "month int, x float\n7 1.5"},
		{file(t, "a.jsonl", `{"x": 1.5}`), "in/month=07/a.jsonl", "x float, month string", "", "x float, month string\n1.5 07"},
		{csvFile, "in/day=2024-01-31/city=S%C3%A3o%20Paulo/a.csv", "x float, day timestamp, city string", "", "x float, day timestamp, city string\n1.5 2024-01-31T00:00:00Z São Paulo"},
		{csvFile, "in/month=__HIVE_DEFAULT_PARTITION__/a.csv", "x float, month int", "", "x float, month int\n1.5 -"},
		{file(t, "b.csv", "x,month\n1.5,8\n"), "in/month=7/b.csv", "x float, month int", "", "x float, month int\n1.5 8"},
		{csvFile, "in/year=2024/a.csv", "x float", "", "x float\n1.5"},
		{parquetFile, "in/month=7/a.parquet", "x float, month int", "SELECT x * 2 AS x, month + 1 AS month FROM upload", "x float, month int\n3 8"},
		{csvFile, "in/month=7/a.csv", "x float, month int", "SELECT x * 2 AS x, month + 1 AS month FROM upload", "x float, month int\n3 8"},
		{csvFile, "in/month=July/a.csv", "x float, month int", "", `column "month": "July" is not a whole number`},
		{csvFile, "in/month/a=7.csv", "x float, month int", "", "column is missing: month"},
	} {
		out := filepath.Join(t.TempDir(), "out.parquet")
		_, err := duck.Convert(t.Context(), duck.Source{Path: test.path, Name: test.name}, &duck.PrepareInput{Columns: columns(strings.Split(test.columns, ", ")...), SQL: test.sql}, out, duck.Limits{})
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = text(t, out)
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s %s: %s, want %s", test.name, test.sql, got, test.want)
		}
	}
}
