package predictionlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"millrace.dev/shared/table"
)

var allTypes = table.Schema{
	{Name: "s", Type: table.String}, {Name: "i", Type: table.Int}, {Name: "f", Type: table.Float}, {Name: "b", Type: table.Bool}, {Name: "t", Type: table.Timestamp},
}

// batchOf makes a batch of every type of so many rows; value gives the n-th
// value of a row, -1 for a null.
func batchOf(rows int, value func(row, column int) int64) *table.Batch {
	b := &table.Batch{Schema: allTypes, Rows: rows, Columns: make([]table.Vector, len(allTypes))}
	for k, c := range allTypes {
		v := &b.Columns[k]
		for row := range rows {
			n := value(row, k)
			v.Nulls = append(v.Nulls, n < 0)
			n = max(n, 0)
			switch c.Type {
			case table.String:
				if v.Nulls[row] {
					v.Strings = append(v.Strings, "")
				} else {
					v.Strings = append(v.Strings, fmt.Sprint("value ", n))
				}
			case table.Float:
				v.Floats = append(v.Floats, float64(n)/3)
			case table.Bool:
				v.Bools = append(v.Bools, n%2 == 1)
			default:
				v.Ints = append(v.Ints, n)
			}
		}
	}
	return b
}

// rowsOf writes each row of a batch as text.
func rowsOf(b *table.Batch) (all []string) {
	for row := range b.Rows {
		var line []byte
		for k, c := range allTypes {
			v := &b.Columns[k]
			switch {
			case v.Null(row):
				line = append(line, "null"...)
			case c.Type == table.String:
				line = append(line, v.Strings[row]...)
			case c.Type == table.Float:
				line = fmt.Append(line, v.Floats[row])
			case c.Type == table.Bool:
				line = fmt.Append(line, v.Bools[row])
			default:
				line = fmt.Append(line, v.Ints[row])
			}
			line = append(line, '|')
		}
		all = append(all, string(line))
	}
	return all
}

func readRows(t *testing.T, path string) (all []string) {
	t.Helper()
	r, err := table.Open(path, nil)
	must(t, err)
	defer r.Close()
	for {
		b, err := r.Next(777)
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, rowsOf(b)...)
	}
}

func random(row, column int) int64 {
	r := rand.New(rand.NewPCG(uint64(row), uint64(column)))
	return r.Int64N(1_000_000) - r.Int64N(100_000) // some are negative: nulls
}

func TestEncoder(t *testing.T) {
	t.Parallel()
	e, err := newEncoder(allTypes)
	must(t, err)
	for name, want := range map[string]*table.Batch{
		"one row": batchOf(1, random), "a few rows": batchOf(13, random), "many rows": batchOf(20_000, random),
		"values that repeat": batchOf(3001, func(row, column int) int64 { return int64(row * (column + 1) % 7) }),
		"one value":          batchOf(3001, func(int, int) int64 { return 5 }),
		"only nulls":         batchOf(3001, func(int, int) int64 { return -1 }),
	} {
		t.Run(name, func(t *testing.T) {
			file, err := e.append([]byte("before"), want)
			must(t, err)
			again, err := e.append(nil, want)
			if err != nil || !bytes.Equal(again, file[len("before"):]) {
				t.Errorf("the same rows give other bytes (%v)", err)
			}
			path := filepath.Join(t.TempDir(), "a.parquet")
			must(t, os.WriteFile(path, again, 0o600))
			got, rows := readRows(t, path), rowsOf(want)
			if len(got) != len(rows) {
				t.Fatalf("%d rows are read, %d were written", len(got), len(rows))
			}
			for i := range got {
				if got[i] != rows[i] {
					t.Fatalf("row %d is %s, want %s", i, got[i], rows[i])
				}
			}
			if _, err := table.ProfileFile(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("columns of other lengths", func(t *testing.T) {
		b := batchOf(3, random)
		b.Columns[1].Ints = b.Columns[1].Ints[:2]
		if _, err := e.append(nil, b); err == nil {
			t.Error("no error")
		}
	})
}

func BenchmarkEncoder(b *testing.B) {
	batch := batchOf(5000, random)
	e, err := newEncoder(allTypes)
	must(b, err)
	var file []byte
	b.ReportAllocs()
	for b.Loop() {
		if file, err = e.append(file[:0], batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*5000*len(allTypes)), "ns/value")
}
