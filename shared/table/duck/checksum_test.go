package duck_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// TestChecksums: a flipped bit in a page that has a checksum is reported, with the
// column, wherever in the page it is and whatever its encoding.
func TestChecksums(t *testing.T) {
	t.Parallel()
	type row struct {
		Word   string  `parquet:"word,dict"`
		Number float64 `parquet:"number"`
	}
	rows := []row{{"apples", 1.0625}, {"bananas", 2.0625}, {"cherries", 3.0625}}
	for name, version := range map[string]int{"v1": 1, "v2": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := pq.Write(&b, rows, pq.DataPageVersion(version), pq.DataPageStatistics(false)); err != nil {
				t.Fatal(err)
			}
			whole := b.Bytes()
			if got := convertBytes(t, whole); got != nil {
				t.Fatalf("the whole file: %v", got)
			}
			// The least and the greatest value are in headers too, which no checksum covers.
			for column, middle := range map[string]string{"word": "bananas", "number": "\x00\x00\x00\x00\x00\x80\x00\x40"} {
				flipped := bytes.Clone(whole)
				at := bytes.Index(flipped, []byte(middle))
				if at < 0 {
					t.Fatalf("%q is not in the file as it is", middle)
				}
				flipped[at+1] ^= 1
				u := unreadable(t, convertBytes(t, flipped))
				if u.Column != column || !strings.Contains(u.Reason, `damaged: column "`+column+`" has a page in row group 1 whose bytes do not have its checksum`) {
					t.Errorf("%s: %v, of column %q", column, u, u.Column)
				}
			}
		})
	}
}

// TestNoChecksums: checksums are optional; the tables of DuckDB have none.
func TestNoChecksums(t *testing.T) {
	t.Parallel()
	path, _, err := convert(t, parquet(t, "SELECT 7 AS n"), nil, duck.Limits{})
	if err != nil || text(t, path) != lines("n int", "7") {
		t.Error(text(t, path), err)
	}
}

func convertBytes(t *testing.T, b []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := convert(t, path, nil, duck.Limits{})
	if us := table.Unreadables(err); err != nil && us == nil {
		t.Fatal(err)
	}
	return err
}
