package table_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"millrace.dev/shared/table"
)

func TestEncoder(t *testing.T) {
	e, err := table.NewEncoder(allTypes)
	if err != nil {
		t.Fatal(err)
	}
	repeated := rows{schema: allTypes, columns: make([][]any, len(allTypes))}
	nothing := rows{schema: allTypes, columns: make([][]any, len(allTypes))}
	for i := range 3001 {
		row := []any{"champion", int64(7), 0.5, true, time.UnixMicro(1).UTC()}
		if i%2 == 1 {
			row = []any{fmt.Sprint("v", i%300), int64(i % 5), float64(i % 77), false, time.UnixMicro(int64(i % 9)).UTC()}
		}
		for k := range allTypes {
			repeated.columns[k] = append(repeated.columns[k], row[k])
			nothing.columns[k] = append(nothing.columns[k], nil)
		}
	}
	tests := map[string]rows{
		"one row": mixed(2, 1), "a few rows": mixed(3, 13), "many rows": mixed(1, 20_000),
		"values that repeat": repeated, "nothing but nulls": nothing,
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			n := len(want.columns[0])
			file, err := e.Append([]byte("before"), want.batch(0, n))
			if err != nil {
				t.Fatal(err)
			}
			again, err := e.Append(nil, want.batch(0, n))
			if err != nil || !bytes.Equal(again, file[len("before"):]) {
				t.Errorf("the same rows give other bytes (%v)", err)
			}
			path := filepath.Join(t.TempDir(), "a.parquet")
			if err := os.WriteFile(path, again, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := read(t, path, nil, 777); !reflect.DeepEqual(got, want) {
				t.Error("what is read differs from what was written")
			}
			if _, err := table.ProfileFile(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("columns of other lengths", func(t *testing.T) {
		b := mixed(1, 3).batch(0, 3)
		b.Columns[1].Ints = b.Columns[1].Ints[:2]
		if _, err := e.Append(nil, b); err == nil {
			t.Error("no error")
		}
	})
}

func BenchmarkEncoder(b *testing.B) {
	batch := mixed(1, 5000).batch(0, 5000)
	e, err := table.NewEncoder(allTypes)
	if err != nil {
		b.Fatal(err)
	}
	var file []byte
	b.ReportAllocs()
	for b.Loop() {
		if file, err = e.Append(file[:0], batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*5000*len(allTypes)), "ns/value")
}
