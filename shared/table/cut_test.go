package table_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/shared/table"
)

// times returns a table with a row for each hour, each with a number of its
// own.
func times(hours ...int) rows {
	r := rows{schema: table.Schema{{Name: "n", Type: table.Int}, {Name: "at", Type: table.Timestamp}}, columns: make([][]any, 2)}
	for i, h := range hours {
		r.columns[0] = append(r.columns[0], int64(i))
		r.columns[1] = append(r.columns[1], epoch.Add(time.Duration(h)*time.Hour))
	}
	return r
}

// apply cuts and returns the first column of both parts.
func apply(t *testing.T, cut table.Cut, in ...string) (train, holdout []any) {
	t.Helper()
	dir := t.TempDir()
	n, m, err := cut.Apply(t.Context(), in, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := filepath.Glob(filepath.Join(dir, "train", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		train = append(train, read(t, part, nil, 1000).columns[0]...)
	}
	holdout = read(t, filepath.Join(dir, "holdout.parquet"), nil, 1000).columns[0]
	if int64(len(train)) != n || int64(len(holdout)) != m {
		t.Errorf("%d and %d rows were announced, %d and %d are there", n, m, len(train), len(holdout))
	}
	return train, holdout
}

func TestCutByTime(t *testing.T) {
	byTime := func(fraction float64) table.Cut {
		return table.Cut{Fraction: fraction, By: table.ByTime, Time: "at"}
	}
	gap, span := byTime(0.3), byTime(0.3)
	gap.Gap = 2 * time.Hour
	span.Span = 4 * time.Hour
	tests := map[string]struct {
		cut            table.Cut
		hours          []int
		train, holdout string
	}{
		"in order":           {byTime(0.3), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "[0 1 2 3 4 5 6]", "[7 8 9]"},
		"out of order":       {byTime(0.2), []int{9, 0, 8, 1, 7, 2, 6, 3, 5, 4}, "[1 3 4 5 6 7 8 9]", "[0 2]"},
		"ties stay together": {byTime(0.2), []int{0, 1, 2, 3, 4, 5, 6, 7, 7, 7}, "[0 1 2 3 4 5 6]", "[7 8 9]"},
		"nearest of two":     {byTime(0.3), []int{0, 1, 1, 1, 1, 1, 1, 1, 2, 2}, "[0 1 2 3 4 5 6 7]", "[8 9]"},
		"never everything":   {byTime(0.9), []int{0, 0, 0, 0, 0, 1}, "[0 1 2 3 4]", "[5]"},
		"never nothing":      {byTime(0.01), []int{0, 1, 2}, "[0 1]", "[2]"},
		"a gap between":      {gap, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "[0 1 2 3 4]", "[7 8 9]"},
		"the newest so long": {span, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "[5 6 7]", "[8 9]"},
		"far apart":          {byTime(0.5), []int{-2_000_000, 0, 1_500_000, 1_500_001}, "[0 1]", "[2 3]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			train, holdout := apply(t, test.cut, write(t, "a.parquet", times(test.hours...)))
			if fmt.Sprint(train) != test.train || fmt.Sprint(holdout) != test.holdout {
				t.Errorf("got %v and %v, want %s and %s", train, holdout, test.train, test.holdout)
			}
		})
	}
	t.Run("several files", func(t *testing.T) {
		train, holdout := apply(t, byTime(0.25), write(t, "a.parquet", times(0, 5, 1)), write(t, "b.parquet", times(7, 6)), write(t, "c.parquet", times(2, 3, 4)))
		if fmt.Sprint(train) != "[0 1 2 0 1 2]" || fmt.Sprint(holdout) != "[0 1]" {
			t.Errorf("got %v and %v", train, holdout)
		}
	})
}

func TestCutByHash(t *testing.T) {
	const n = 20_000
	r := rows{schema: table.Schema{{Name: "n", Type: table.Int}, {Name: "customer", Type: table.String}}, columns: make([][]any, 2)}
	for i := range n {
		r.columns[0] = append(r.columns[0], int64(i))
		r.columns[1] = append(r.columns[1], fmt.Sprint("c", i%500))
	}
	path := write(t, "a.parquet", r)
	both := func(t *testing.T, cut table.Cut) (train, holdout []any) {
		train, holdout = apply(t, cut, path)
		seen := map[any]int{}
		for _, x := range slices.Concat(train, holdout) {
			seen[x]++
		}
		if len(seen) != n || len(train)+len(holdout) != n {
			t.Errorf("%d of %d rows are there once", len(seen), n)
		}
		return train, holdout
	}
	t.Run("rows", func(t *testing.T) {
		_, holdout := both(t, table.Cut{Fraction: 0.2, By: table.ByHash})
		if share := float64(len(holdout)) / n; math.Abs(share-0.2) > 0.015 {
			t.Errorf("%.3f is held out", share)
		}
	})
	t.Run("groups stay together", func(t *testing.T) {
		train, holdout := both(t, table.Cut{Fraction: 0.2, By: table.ByHash, Group: []string{"customer"}})
		customers := func(rows []any) map[int64]bool {
			set := map[int64]bool{}
			for _, x := range rows {
				set[x.(int64)%500] = true
			}
			return set
		}
		left, right := customers(train), customers(holdout)
		for c := range maps.Keys(left) {
			if right[c] {
				t.Errorf("customer %d is on both sides", c)
			}
		}
		if share := float64(len(right)) / 500; math.Abs(share-0.2) > 0.06 {
			t.Errorf("%.3f of the customers are held out", share)
		}
	})
	t.Run("does not depend on the other rows", func(t *testing.T) {
		_, all := both(t, table.Cut{Fraction: 0.2, By: table.ByHash})
		some := rows{schema: r.schema, columns: [][]any{r.columns[0][5000:7000], r.columns[1][5000:7000]}}
		_, holdout := apply(t, table.Cut{Fraction: 0.2, By: table.ByHash}, write(t, "b.parquet", some))
		for _, x := range holdout {
			if !slices.Contains(all, x) {
				t.Errorf("row %v changed sides", x)
			}
		}
	})
}

func TestCutIsDeterministic(t *testing.T) {
	in := []string{write(t, "a.parquet", mixed(1, 30_000)), write(t, "b.parquet", mixed(2, 10))}
	var before map[string][]byte
	for range 2 {
		dir := t.TempDir()
		if _, _, err := (table.Cut{Fraction: 0.3, By: table.ByHash}).Apply(t.Context(), in, dir, filepath.Join(dir, "holdout.parquet")); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		if before != nil && !maps.EqualFunc(before, files, bytes.Equal) {
			t.Error("the second cut has other bytes")
		}
		if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"holdout.parquet", "part-00000.parquet", "part-00001.parquet"}) {
			t.Errorf("files are %v", names)
		}
		before = files
	}
}

func TestCutOfDifferentColumns(t *testing.T) {
	a := write(t, "a.parquet", rows{table.Schema{{Name: "n", Type: table.Int}, {Name: "x", Type: table.String}}, [][]any{{1, 2, 3, 4}, {"a", "b", "c", "d"}}})
	b := write(t, "b.parquet", rows{table.Schema{{Name: "n", Type: table.Int}, {Name: "y", Type: table.Float}}, [][]any{{5, 6, 7, 8}, {1.5, 2.5, 3.5, 4.5}}})
	dir := t.TempDir()
	if _, _, err := (table.Cut{Fraction: 0.5, By: table.ByHash, Group: []string{"n"}}).Apply(t.Context(), []string{a, b}, dir, filepath.Join(dir, "holdout")); err != nil {
		t.Fatal(err)
	}
	schema, _, err := table.ReadSchema(filepath.Join(dir, "holdout"))
	if err != nil || schema.String() != "n int, x string, y float" {
		t.Errorf("schema is %v, %v", schema, err)
	}
}

func TestCutRefuses(t *testing.T) {
	same := write(t, "a.parquet", times(1, 1, 1))
	undated := times(1, 2, 3)
	undated.columns[1][1] = nil
	gap := table.Cut{Fraction: 0.5, By: table.ByTime, Time: "at", Gap: 100 * time.Hour}
	tests := map[string]struct {
		cut  table.Cut
		in   string
		want string
	}{
		"one time":      {table.Cut{Fraction: 0.5, By: table.ByTime, Time: "at"}, same, "all rows have the same at"},
		"no such time":  {table.Cut{Fraction: 0.5, By: table.ByTime, Time: "when"}, same, "column is missing: when"},
		"no time":       {table.Cut{Fraction: 0.5, By: table.ByTime, Time: "n"}, same, `column "n" is int`},
		"undated row":   {table.Cut{Fraction: 0.5, By: table.ByTime, Time: "at"}, write(t, "b.parquet", undated), "a row has no at"},
		"no such group": {table.Cut{Fraction: 0.5, By: table.ByHash, Group: []string{"customer"}}, same, "column is missing: customer"},
		"too large gap": {gap, write(t, "c.parquet", times(1, 2, 3)), "nothing is left to train on"},
		"too few rows":  {table.Cut{Fraction: 0.000001, By: table.ByHash}, same, "nothing is held out"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, _, err := test.cut.Apply(t.Context(), []string{test.in}, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet"))
			if u := unreadable(t, err); !strings.Contains(u.Error(), test.want) {
				t.Errorf("got %v, want %q", u, test.want)
			}
			if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) > 0 {
				t.Errorf("%v are left", files)
			}
			if _, err := os.Stat(filepath.Join(dir, "holdout.parquet")); err == nil {
				t.Error("a hold-out is left")
			}
		})
	}
}
