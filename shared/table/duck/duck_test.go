package duck_test

import (
	"compress/gzip"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// file writes a file of the test's folder.
func file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gzipped writes a gzip file of n times the text, in as many members, so that
// a bomb is made in no time.
func gzipped(t testing.TB, name string, head, text string, n int) string {
	t.Helper()
	var b, member strings.Builder
	zip := func(w io.Writer, text string) {
		z := gzip.NewWriter(w)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	zip(&b, head)
	zip(&member, text)
	b.WriteString(strings.Repeat(member.String(), n))
	return file(t, name, b.String())
}

// parquet writes what a query of DuckDB yields.
func parquet(t testing.TB, query string) string {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	path := filepath.Join(t.TempDir(), "made.parquet")
	if _, err := db.Exec("COPY (" + query + ") TO '" + path + "' (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
	return path
}

// convert converts a file under its own name into a folder of the test's.
func convert(t testing.TB, path string, prep *duck.PrepareInput, lim duck.Limits) (string, *duck.Converted, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.parquet")
	done, err := duck.Convert(t.Context(), duck.Source{Path: path, Name: filepath.Base(path)}, prep, out, lim)
	return out, done, err
}

// text shows a table as its schema and lines of values.
func text(t testing.TB, path string) string {
	t.Helper()
	r, err := table.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := []string{r.Schema().String()}
	for {
		b, err := r.Next(1000)
		if errors.Is(err, io.EOF) {
			return strings.Join(lines, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			var values []string
			for k, c := range b.Schema {
				v := b.Columns[k]
				switch {
				case v.Null(i):
					values = append(values, "-")
				case c.Type == table.String:
					values = append(values, v.Strings[i])
				case c.Type == table.Float:
					values = append(values, fmt.Sprint(v.Floats[i]))
				case c.Type == table.Bool:
					values = append(values, fmt.Sprint(v.Bools[i]))
				case c.Type == table.Timestamp:
					values = append(values, time.UnixMicro(v.Ints[i]).UTC().Format(time.RFC3339Nano))
				default:
					values = append(values, fmt.Sprint(v.Ints[i]))
				}
			}
			lines = append(lines, strings.Join(values, " "))
		}
	}
}

func lines(s ...string) string { return strings.Join(s, "\n") }

func unreadable(t testing.TB, err error) *table.Unreadable {
	t.Helper()
	u, ok := errors.AsType[*table.Unreadable](err)
	if !ok {
		t.Fatalf("got %v, want an Unreadable", err)
	}
	return u
}

// leaves fails the test if its run leaves temporary files.
func leaves(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, _ := filepath.Glob(filepath.Join(dir, "millrace*")); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	})
}
