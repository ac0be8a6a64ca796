package duck_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// FuzzConvert feeds anything as an upload of each format: it is refused in
// words, or it becomes a table that reads; and nothing else is left beside it.
func FuzzConvert(f *testing.F) {
	names := []string{"a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.parquet", "a.json", "a.zip", "a.csv.zst", "a.csv.bz2", "a.csv.xz"}
	for i, text := range []string{
		"a,b,c\n1,x,1.5\nNA,,2\n3,\"y\"\"z\",NaN\n",
		"",
		"a\tb\n1\tx y\n",
		`{"a": 1, "b": "x", "c": [1.5]}` + "\n" + `{"b": null, "a": 2}` + "\n",
	} {
		f.Add(uint8(i), []byte(text)) //nolint:gosec // there are few
	}
	for i, path := range map[uint8]string{
		1: gzipped(f, "a.csv.gz", "a,b\n", "1,x\n", 2),
		4: gzipped(f, "a.jsonl.gz", "", `{"a": 1}`+"\n", 2),
		5: parquet(f, "SELECT 1 AS a, 'x' AS b"),
	} {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, content)
	}
	f.Add(uint8(6), []byte(`[{"a": 1}, {"b": "x"}]`))
	f.Fuzz(func(t *testing.T, format uint8, content []byte) {
		src := duck.Source{Name: names[int(format)%len(names)], Path: filepath.Join(t.TempDir(), "upload")}
		if err := os.WriteFile(src.Path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		out := filepath.Join(dir, "out.parquet")
		_, err := duck.Convert(t.Context(), src, nil, out, duck.Limits{Bytes: 1 << 20, Memory: "64MB", Threads: 1, Timeout: 20 * time.Second})
		left, readErr := os.ReadDir(dir)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err != nil {
			if len(table.Unreadables(err)) == 0 || len(left) > 0 {
				t.Fatalf("%s %q: %v; left %v", src.Name, content, err, left)
			}
			return
		}
		if _, err := table.ProfileFile(t.Context(), out); err != nil || len(left) != 1 {
			t.Fatalf("%s %q became a table that does not read: %v; left %v", src.Name, content, err, left)
		}
	})
}
