package table_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"millrace.dev/shared/table"
)

// versions is a table of keys and values; a key below 0 is null.
func versions(t *testing.T, dir string, n int, keys []int64) string {
	t.Helper()
	b := &table.Batch{Schema: table.Schema{{Name: "id", Type: table.Int}, {Name: "v", Type: table.String}}, Rows: len(keys), Columns: make([]table.Vector, 2)}
	for i, k := range keys {
		b.Columns[0].Ints = append(b.Columns[0].Ints, max(k, 0))
		b.Columns[0].Nulls = append(b.Columns[0].Nulls, k < 0)
		b.Columns[1].Strings = append(b.Columns[1].Strings, fmt.Sprint(n, ".", i))
	}
	path := filepath.Join(dir, fmt.Sprint(n, ".parquet"))
	w, err := table.Create(path, b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNewestRowsWin compares with a map; the large case does not fit into memory
// at once.
func TestNewestRowsWin(t *testing.T) {
	t.Parallel()
	for name, sizes := range map[string][]int{"small": {5, 0, 9, 30}, "large": {400_000, 300_000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, rng := t.TempDir(), rand.New(rand.NewPCG(3, 4))
			newest := map[int64]string{}
			var paths []string
			nulls, all := 0, 0
			for n, size := range sizes {
				keys := make([]int64, size)
				for i := range keys {
					keys[i] = rng.Int64N(int64(size)) - 1
					if all++; keys[i] < 0 {
						nulls++
						continue
					}
					newest[keys[i]] = fmt.Sprint(n, ".", i)
				}
				if size > 0 {
					paths = append(paths, versions(t, dir, n, keys))
				}
			}
			sets, err := table.Superseded(t.Context(), dir, []string{"id"}, paths)
			if err != nil {
				t.Fatal(err)
			}
			var left, dropped int64
			for i, path := range paths {
				out := filepath.Join(dir, fmt.Sprint("out-", i))
				n, err := table.Without(t.Context(), path, out, &sets[i])
				if err != nil {
					t.Fatal(err)
				}
				left, dropped = left+n, dropped+sets[i].Len()
				if n > 0 {
					checkNewest(t, out, newest)
				}
			}
			if want := int64(len(newest) + nulls); left != want || dropped != int64(all)-want {
				t.Errorf("%d rows are left and %d superseded, want %d and %d", left, dropped, want, int64(all)-want)
			}
			if rest, _ := filepath.Glob(filepath.Join(dir, "superseded-*")); len(rest) > 0 {
				t.Errorf("temporary files are left: %v", rest)
			}
		})
	}
}

func checkNewest(t *testing.T, path string, newest map[int64]string) {
	t.Helper()
	r, err := table.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for rows := int64(0); rows < r.Rows(); {
		b, err := r.Next(1 << 16)
		if err != nil {
			t.Fatal(err)
		}
		rows += int64(b.Rows)
		for i := range b.Rows {
			if !b.Columns[0].Null(i) && newest[b.Columns[0].Ints[i]] != b.Columns[1].Strings[i] {
				t.Fatalf("row %s of key %d is left", b.Columns[1].Strings[i], b.Columns[0].Ints[i])
			}
		}
	}
}

// TestUpdatedRowsStayOnTheirSide: by random with an identity, the side of a row
// does not follow from its place.
func TestUpdatedRowsStayOnTheirSide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	split := table.Split{By: table.ByRandom, Fraction: 0.3, Seed: 5, Identity: []string{"id"}, Features: []string{"v"}}
	sides := func(n int, keys []int64) map[int64]bool {
		t.Helper()
		held := filepath.Join(dir, fmt.Sprint("held-", n))
		parts, err := split.Apply(t.Context(), []string{versions(t, dir, n, keys)}, filepath.Join(dir, fmt.Sprint("train-", n)), held)
		if err != nil {
			t.Fatal(err)
		}
		if share := float64(parts.Holdout) / float64(len(keys)); share < 0.2 || share > 0.4 {
			t.Errorf("%.2f of the rows are held out", share)
		}
		r, err := table.Open(held, []string{"id"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := r.Next(1000)
		if err != nil {
			t.Fatal(err)
		}
		ids := map[int64]bool{}
		for _, id := range b.Columns[0].Ints {
			ids[id] = true
		}
		return ids
	}
	keys := make([]int64, 500)
	for i := range keys {
		keys[i] = int64(i)
	}
	before := sides(100, keys)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	if after := sides(101, keys); !maps.Equal(before, after) {
		t.Errorf("%d rows are held out, and %d in another order", len(before), len(after))
	}
}
