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

// apply splits and returns the first column of both parts.
func apply(t *testing.T, split table.Split, in ...string) (train, holdout []any) {
	t.Helper()
	dir := t.TempDir()
	made, err := split.Apply(t.Context(), in, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet"))
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
	if int64(len(train)) != made.Train || int64(len(holdout)) != made.Holdout {
		t.Errorf("%d and %d rows were announced, %d and %d are there", made.Train, made.Holdout, len(train), len(holdout))
	}
	return train, holdout
}

func TestSplitByTime(t *testing.T) {
	t.Parallel()
	byTime := func(fraction float64) table.Split {
		return table.Split{Fraction: fraction, By: table.ByTime, Time: "at"}
	}
	gap, span := byTime(0.3), byTime(0.3)
	gap.Gap = 2 * time.Hour
	span.Span = 4 * time.Hour
	tests := map[string]struct {
		split          table.Split
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
		"the newest so long": {span, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "[6 7 8]", "[9]"},
		"far apart":          {byTime(0.5), []int{-2_000_000, 0, 1_500_000, 1_500_001}, "[0 1]", "[2 3]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			train, holdout := apply(t, test.split, write(t, "a.parquet", times(test.hours...)))
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

func TestSplitByHash(t *testing.T) {
	t.Parallel()
	const n = 20_000
	r := rows{schema: table.Schema{{Name: "n", Type: table.Int}, {Name: "customer", Type: table.String}}, columns: make([][]any, 2)}
	for i := range n {
		r.columns[0] = append(r.columns[0], int64(i))
		r.columns[1] = append(r.columns[1], fmt.Sprint("c", i%500))
	}
	path := write(t, "a.parquet", r)
	both := func(t *testing.T, split table.Split) (train, holdout []any) {
		train, holdout = apply(t, split, path)
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
		_, holdout := both(t, table.Split{Fraction: 0.2, By: table.ByHash})
		if share := float64(len(holdout)) / n; math.Abs(share-0.2) > 0.015 {
			t.Errorf("%.3f is held out", share)
		}
	})
	t.Run("groups stay together", func(t *testing.T) {
		train, holdout := both(t, table.Split{Fraction: 0.2, By: table.ByHash, Group: []string{"customer"}})
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
		_, all := both(t, table.Split{Fraction: 0.2, By: table.ByHash})
		some := rows{schema: r.schema, columns: [][]any{r.columns[0][5000:7000], r.columns[1][5000:7000]}}
		_, holdout := apply(t, table.Split{Fraction: 0.2, By: table.ByHash}, write(t, "b.parquet", some))
		for _, x := range holdout {
			if !slices.Contains(all, x) {
				t.Errorf("row %v changed sides", x)
			}
		}
	})
}

func TestSplitIsDeterministic(t *testing.T) {
	t.Parallel()
	in := []string{write(t, "a.parquet", mixed(1, 30_000)), write(t, "b.parquet", mixed(2, 10))}
	var before map[string][]byte
	for range 2 {
		dir := t.TempDir()
		if _, err := (table.Split{Fraction: 0.3, By: table.ByHash}).Apply(t.Context(), in, dir, filepath.Join(dir, "holdout.parquet")); err != nil {
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
			t.Error("the second split has other bytes")
		}
		if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"holdout.parquet", "part-00000.parquet", "part-00001.parquet"}) {
			t.Errorf("files are %v", names)
		}
		before = files
	}
}

func TestSplitOfDifferentColumns(t *testing.T) {
	t.Parallel()
	a := write(t, "a.parquet", rows{table.Schema{{Name: "n", Type: table.Int}, {Name: "x", Type: table.String}}, [][]any{{1, 2, 3, 4}, {"a", "b", "c", "d"}}})
	b := write(t, "b.parquet", rows{table.Schema{{Name: "n", Type: table.Int}, {Name: "y", Type: table.Float}}, [][]any{{5, 6, 7, 8}, {1.5, 2.5, 3.5, 4.5}}})
	dir := t.TempDir()
	if _, err := (table.Split{Fraction: 0.5, By: table.ByHash, Group: []string{"n"}}).Apply(t.Context(), []string{a, b}, dir, filepath.Join(dir, "holdout")); err != nil {
		t.Fatal(err)
	}
	schema, _, err := table.ReadSchema(filepath.Join(dir, "holdout"))
	if err != nil || schema.String() != "n int, x string, y float" {
		t.Errorf("schema is %v, %v", schema, err)
	}
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	same := write(t, "a.parquet", times(1, 1, 1))
	undated := times(1, 2, 3)
	undated.columns[1] = []any{nil, nil, nil}
	gap := table.Split{Fraction: 0.5, By: table.ByTime, Time: "at", Gap: 100 * time.Hour}
	tests := map[string]struct {
		split table.Split
		in    string
		want  string
	}{
		"one time":      {table.Split{Fraction: 0.5, By: table.ByTime, Time: "at"}, same, "all rows have the same at"},
		"no such time":  {table.Split{Fraction: 0.5, By: table.ByTime, Time: "when"}, same, "column is missing: when"},
		"no time":       {table.Split{Fraction: 0.5, By: table.ByTime, Time: "n"}, same, `column "n" is int`},
		"no times":      {table.Split{Fraction: 0.5, By: table.ByTime, Time: "at"}, write(t, "b.parquet", undated), "no row has a at"},
		"no such group": {table.Split{Fraction: 0.5, By: table.ByHash, Group: []string{"customer"}}, same, "column is missing: customer"},
		"too large gap": {gap, write(t, "c.parquet", times(1, 2, 3)), "nothing is left to train on"},
		"one group":     {table.Split{Fraction: 0.5, By: table.ByHash, Group: []string{"at"}}, same, "all 3 rows are equal in at"},
		"one row":       {table.Split{Fraction: 0.5, By: table.ByRandom}, write(t, "d.parquet", times(1)), "1 rows"},
		"no such label": {table.Split{Fraction: 0.5, By: table.ByRandom, Stratify: true, Label: "late"}, same, "column is missing: late"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := test.split.Apply(t.Context(), []string{test.in}, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet"))
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
