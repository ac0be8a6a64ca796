package feedback

import (
	"bytes"
	"path/filepath"
	"testing"

	"millrace.dev/shared/table"
)

func TestKeyFor(t *testing.T) {
	t.Parallel()
	for glob, want := range map[string]string{
		"a/*.jsonl": "a/%s.jsonl", "a/**/*.parquet": "a/%s.parquet", "a/**": "a/%s.jsonl", "a/*/b-*.ndjson": "a/%s/b-labels.ndjson",
		"a/*": "a/%s.jsonl", "a/*.csv": "", "a/b.jsonl": "", "s3://b/*.jsonl": "", "a/100%/*.jsonl": "a/100%%/%s.jsonl",
	} {
		if got := keyFor(glob); got != want {
			t.Errorf("%s gives %q, want %q", glob, got, want)
		}
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte(`{"labels":[{"request_id":"a","row":0,"label":true}]}`))
	f.Add([]byte(`{"labels":{"request_id":["a"],"row":[0],"late":[true]}}`))
	l := labelling{columns: table.Schema{{Name: "request_id", Type: table.String}, {Name: "row", Type: table.Int}, {Name: "late", Type: table.Bool}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		lines, n, err := l.lines(body, 100)
		if err != nil {
			return
		}
		if n < 1 || n > 100 || bytes.Count(lines, []byte("\n")) != n {
			t.Fatalf("%d labels are %q", n, lines)
		}
		if n == 1 && len(body) < 1000 {
			return // a file is slow
		}
		if err := l.parquet(lines, filepath.Join(t.TempDir(), "x.parquet")); err != nil {
			t.Fatal(err)
		}
	})
}
