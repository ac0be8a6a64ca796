package table_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace.dev/shared/table"
)

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	want := mixed(1, 130_000) // more than one row group
	path := write(t, "a.parquet", want)

	t.Run("all columns", func(t *testing.T) {
		for _, batch := range []int{1000, 200_000} {
			got := read(t, path, nil, batch)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("batches of %d: what is read differs from what was written", batch)
			}
		}
	})
	t.Run("some columns in another order", func(t *testing.T) {
		got := read(t, path, []string{"ok", "name"}, 5000)
		if !reflect.DeepEqual(got.columns, [][]any{want.columns[3], want.columns[0]}) {
			t.Error("columns differ")
		}
	})
	t.Run("schema", func(t *testing.T) {
		schema, n, err := table.ReadSchema(path)
		if err != nil || n != 130_000 || !reflect.DeepEqual(schema, allTypes) {
			t.Errorf("got %v, %d, %v", schema, n, err)
		}
	})
	t.Run("batches leave no trace", func(t *testing.T) {
		one, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{999, 50_000} {
			other, err := os.ReadFile(writeBatches(t, "b.parquet", want, size))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(one, other) {
				t.Errorf("batches of %d give other bytes", size)
			}
		}
	})
	t.Run("missing column", func(t *testing.T) {
		_, err := table.Open(path, []string{"name", "carrier", "dest"})
		u := unreadable(t, err)
		if want := "a.parquet: columns are missing: carrier, dest; the columns that are there: name, n, x, ok, at"; u.Error() != want {
			t.Errorf("got  %s\nwant %s", u, want)
		}
	})
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	two := table.Schema{{Name: "a", Type: table.Int}, {Name: "a", Type: table.Int}}
	if _, err := table.NewWriter(&bytes.Buffer{}, two); err == nil {
		t.Error("two columns of one name are written")
	}
	if _, err := table.NewWriter(&bytes.Buffer{}, nil); err == nil {
		t.Error("a table without columns is written")
	}
	w, err := table.NewWriter(&bytes.Buffer{}, table.Schema{{Name: "a", Type: table.Int}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&table.Batch{Rows: 2, Columns: []table.Vector{{Floats: []float64{1, 2}}}}); err == nil {
		t.Error("floats are written to a column of int")
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := table.Create(filepath.Join(dir, "a.parquet"), allTypes)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(mixed(1, 10).batch(0, 10)); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%v is left", files)
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(write(t, "a.parquet", mixed(1, 5000)))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty":     {},
		"garbage":   []byte(strings.Repeat("no table ", 1000)),
		"truncated": good[:len(good)/2],
		"headless":  good[len(good)/2:],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name+".parquet")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := table.ProfileFile(t.Context(), path)
			_ = unreadable(t, err)
			_, _, err = table.ReadSchema(path)
			_ = unreadable(t, err)
		})
	}
	t.Run("not there", func(t *testing.T) {
		_, _, err := table.ReadSchema(filepath.Join(t.TempDir(), "none.parquet"))
		if !os.IsNotExist(err) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzProfile changes bytes of a table: whatever they are, measuring ends with
// an answer.
func FuzzProfile(f *testing.F) {
	good, err := os.ReadFile(write(f, "a.parquet", mixed(1, 300)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint(20), []byte{0xff})
	f.Add(uint(len(good)-100), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, at uint, with []byte) {
		data := bytes.Clone(good)
		copy(data[at%uint(len(data)):], with)
		path := filepath.Join(t.TempDir(), "a.parquet")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := table.ProfileFile(t.Context(), path); err == nil {
			if _, err := table.Check(t.Context(), path, p, table.Rules{Unique: []table.UniqueRule{{Columns: []string{"name", "n"}}}}); err != nil {
				_ = unreadable(t, err)
			}
		}
	})
}
