package table_test

import (
	"errors"
	"io"
	"math"
	"path/filepath"
	"testing"
	"time"

	"millrace.dev/shared/table"
)

// rows is a table in a form that tests can state: a column is []any of string,
// int64 or int, float64, bool, time.Time, or nil.
type rows struct {
	schema  table.Schema
	columns [][]any
}

func (r rows) batch(from, to int) *table.Batch {
	b := &table.Batch{Schema: r.schema, Rows: to - from}
	for k, c := range r.schema {
		var v table.Vector
		nulls := make([]bool, to-from)
		for i, x := range r.columns[k][from:to] {
			nulls[i] = x == nil
			switch c.Type {
			case table.String:
				s, _ := x.(string)
				v.Strings = append(v.Strings, s)
			case table.Float:
				f, _ := x.(float64)
				v.Floats = append(v.Floats, f)
			case table.Bool:
				b, _ := x.(bool)
				v.Bools = append(v.Bools, b)
			case table.Timestamp:
				if t, ok := x.(time.Time); ok {
					v.Ints = append(v.Ints, t.UnixMicro())
				} else {
					v.Ints = append(v.Ints, 0)
				}
			default:
				switch n := x.(type) {
				case int:
					v.Ints = append(v.Ints, int64(n))
				case int64:
					v.Ints = append(v.Ints, n)
				default:
					v.Ints = append(v.Ints, 0)
				}
			}
		}
		for _, null := range nulls {
			if null {
				v.Nulls = nulls
			}
		}
		b.Columns = append(b.Columns, v)
	}
	return b
}

// write writes the rows to a file of the test's folder.
func write(t testing.TB, name string, r rows) string {
	t.Helper()
	return writeBatches(t, name, r, len(r.columns[0]))
}

func writeBatches(t testing.TB, name string, r rows, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	w, err := table.Create(path, r.schema)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	n := len(r.columns[0])
	for from := 0; from < n; from += size {
		if err := w.Write(r.batch(from, min(from+size, n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// read returns the rows of a file.
func read(t testing.TB, path string, columns []string, batch int) rows {
	t.Helper()
	r, err := table.Open(path, columns)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all := rows{schema: r.Schema(), columns: make([][]any, len(r.Schema()))}
	for {
		b, err := r.Next(batch)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for k, c := range b.Schema {
			v := b.Columns[k]
			for i := range b.Rows {
				var x any
				switch {
				case v.Null(i):
				case c.Type == table.String:
					x = v.Strings[i]
				case c.Type == table.Float:
					x = v.Floats[i]
				case c.Type == table.Bool:
					x = v.Bools[i]
				case c.Type == table.Timestamp:
					x = time.UnixMicro(v.Ints[i]).UTC()
				default:
					x = v.Ints[i]
				}
				all.columns[k] = append(all.columns[k], x)
			}
		}
	}
}

// noise is a generator that testdata/drift.py has too (SplitMix64).
type noise uint64

func (x *noise) next() uint64 {
	*x += 0x9e3779b97f4a7c15
	z := uint64(*x)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (x *noise) float() float64 { return float64(x.next()>>11) / (1 << 53) }

var allTypes = table.Schema{
	{Name: "name", Type: table.String},
	{Name: "n", Type: table.Int},
	{Name: "x", Type: table.Float},
	{Name: "ok", Type: table.Bool},
	{Name: "at", Type: table.Timestamp},
}

var epoch = time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)

// mixed returns n rows of all types with nulls among them. Some columns have
// few values, x has many.
func mixed(seed noise, n int) rows {
	r := rows{schema: allTypes, columns: make([][]any, len(allTypes))}
	for range n {
		values := []any{
			string(rune('a' + seed.next()%7)),
			int64(seed.next()%1000) - 500,
			math.Round(seed.float()*1e6) / 1e3,
			seed.next()%3 == 0,
			epoch.Add(time.Duration(seed.next()%10_000) * time.Minute),
		}
		for k, x := range values {
			if seed.next()%11 == 0 {
				x = nil
			}
			r.columns[k] = append(r.columns[k], x)
		}
	}
	return r
}

// unreadable fails the test unless err is an *table.Unreadable, and returns it.
func unreadable(t *testing.T, err error) *table.Unreadable {
	t.Helper()
	u, ok := errors.AsType[*table.Unreadable](err)
	if !ok {
		t.Fatalf("got %v, want an Unreadable", err)
	}
	return u
}
