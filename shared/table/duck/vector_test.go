package duck_test

import (
	"testing"

	"millrace.dev/shared/table/duck"
)

// TestVectors makes a list of numbers one column for each number, by the same
// prepare in every format that has lists, or has them as text.
func TestVectors(t *testing.T) {
	in := &duck.PrepareInput{Columns: columns("n int", "v1 float", "v2 float"), SQL: "SELECT n, (v::DOUBLE[2])[1] AS v1, (v::DOUBLE[2])[2] AS v2 FROM upload"}
	want := lines("n int, v1 float, v2 float", "1 0.5 1000", "2 1 2")
	for name, path := range map[string]string{
		"JSON lines": file(t, "a.jsonl", "{\"n\": 1, \"v\": [0.5, 1e3]}\n{\"n\": 2, \"v\": [1, 2]}\n"),
		"CSV":        file(t, "a.csv", "n,v\n1,\"[0.5, 1e3]\"\n2,\"[1, 2]\"\n"),
		"Parquet":    parquet(t, "SELECT 1 AS n, [0.5, 1000.0] AS v UNION ALL SELECT 2, [1.0, 2.0] ORDER BY n"),
	} {
		out, _, err := convert(t, path, in, duck.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := text(t, out); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
	for name, path := range map[string]string{
		"longer":  file(t, "a.jsonl", "{\"n\": 1, \"v\": [0.5, 1e3, 3]}\n"),
		"shorter": parquet(t, "SELECT 1 AS n, [0.5] AS v"),
		"text":    file(t, "a.csv", "n,v\n1,\"[a, b]\"\n"),
	} {
		_, _, err := convert(t, path, in, duck.Limits{})
		if u := unreadable(t, err); u.Name != "prepare" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
