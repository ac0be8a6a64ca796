package table_test

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/shared/table"
)

// plans is a table whose rows repeat: of the customers of each plan and region, a
// hundred, a share has left.
func plans() rows {
	r := rows{
		schema:  table.Schema{{Name: "left", Type: table.String}, {Name: "n", Type: table.Int}, {Name: "region", Type: table.String}, {Name: "plan", Type: table.String}},
		columns: make([][]any, 4),
	}
	for k, left := range []int{20, 40, 60, 80} {
		for i := range 100 {
			answer := "no"
			if i < left {
				answer = "yes"
			}
			for c, x := range []any{answer, int64(100*k + i), []string{"north", "south"}[k%2], []string{"basic", "pro"}[k/2]} {
				r.columns[c] = append(r.columns[c], x)
			}
		}
	}
	return r
}

// sides splits and returns both parts.
func sides(t *testing.T, split table.Split, in ...string) (train, holdout rows, made table.Parts) {
	t.Helper()
	dir := t.TempDir()
	made, err := split.Apply(t.Context(), in, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, filepath.Join(dir, "train", "part-00000.parquet"), nil, 1000), read(t, filepath.Join(dir, "holdout.parquet"), nil, 1000), made
}

// count counts the rows by the values of columns.
func count(r rows, names ...string) map[string]int {
	counts := map[string]int{}
	for i := range r.columns[0] {
		var key []string
		for _, name := range names {
			key = append(key, fmt.Sprint(r.columns[r.schema.Index(name)][i]))
		}
		counts[strings.Join(key, " ")]++
	}
	return counts
}

func checks(made table.Parts) string {
	var names []string
	for _, w := range made.Warnings {
		names = append(names, w.Check)
	}
	return strings.Join(names, " ")
}

// Where rows repeat, a hash that has the label in it puts the rows of one answer
// on one side and those of the other answer on the other.
func TestSplitByHashLeavesTheLabelOut(t *testing.T) {
	t.Parallel()
	whole := count(plans(), "plan", "region", "left")
	for name, split := range map[string]table.Split{
		"features":    {Features: []string{"plan", "region"}},
		"no features": {}, // n makes all rows distinct
		"key":         {Features: []string{"plan", "region"}, Key: []string{"n"}},
	} {
		t.Run(name, func(t *testing.T) {
			split.Fraction, split.By, split.Label = 0.3, table.ByHash, "left"
			data := plans()
			train, holdout, _ := sides(t, split, write(t, "a.parquet", data))
			groups := count(data, "plan", "region")
			trained, held := count(train, "plan", "region"), count(holdout, "plan", "region")
			for group := range groups {
				if name == "features" && trained[group]*held[group] > 0 {
					t.Errorf("%s is on both sides", group)
				}
				for side, part := range map[string]rows{"trained on": train, "held out": holdout} {
					n := count(part, "plan", "region")[group]
					got := float64(count(part, "plan", "region", "left")[group+" yes"]) / float64(max(n, 1))
					want := float64(whole[group+" yes"]) / 100
					if n > 0 && math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/float64(n)) {
						t.Errorf("of the %d rows of %s that are %s, %.2f left; of all, %.2f", n, group, side, got, want)
					}
				}
			}
			// Whatever the label is, a row stays where it is.
			slices.Reverse(data.columns[data.schema.Index("left")])
			again, _, _ := sides(t, split, write(t, "b.parquet", data))
			if n := again.schema.Index("n"); !slices.Equal(again.columns[n], train.columns[n]) {
				t.Error("another label led to another split")
			}
		})
	}
}

func TestSplitOrdersColumns(t *testing.T) {
	t.Parallel()
	for name, split := range map[string]table.Split{
		"hash":   {By: table.ByHash},
		"random": {By: table.ByRandom},
	} {
		t.Run(name, func(t *testing.T) {
			split.Fraction, split.Features, split.Label = 0.5, []string{"plan", "region"}, "left"
			data := plans()
			train, holdout, _ := sides(t, split, write(t, "a.parquet", data))
			for part, r := range map[string]rows{"train": train, "hold-out": holdout} {
				if r.schema.String() != "plan string, region string, left string, n int" {
					t.Errorf("%s part has %s", part, r.schema)
				}
				for i, n := range r.columns[3] {
					for c, name := range []string{"plan", "region", "left"} {
						if want := data.columns[data.schema.Index(name)][n.(int64)]; r.columns[c][i] != want {
							t.Fatalf("row %d has %s %v instead of %v", n, name, r.columns[c][i], want)
						}
					}
				}
			}
		})
	}
}

func TestSplitByRandom(t *testing.T) {
	t.Parallel()
	n, in := 20_000, mixed(1, 20_000)
	path := write(t, "a.parquet", in)
	held := func(split table.Split, in ...string) []any {
		split.Fraction, split.By = 0.2, table.ByRandom
		_, holdout := apply(t, split, in...)
		return holdout
	}
	first := held(table.Split{Names: []string{"one"}}, path)
	if share := float64(len(first)) / float64(n); math.Abs(share-0.2) > 0.015 {
		t.Errorf("%.3f is held out", share)
	}
	if !slices.Equal(first, held(table.Split{Names: []string{"one"}}, path)) {
		t.Error("the same seed led to another split")
	}
	for name, other := range map[string]table.Split{"seed": {Names: []string{"one"}, Seed: 1}, "name": {Names: []string{"two"}}} {
		if slices.Equal(first, held(other, path)) {
			t.Errorf("another %s led to the same split", name)
		}
	}
	// Of each of two files, no matter what precedes it.
	other := write(t, "b.parquet", mixed(2, 100))
	if both := held(table.Split{Names: []string{"two", "one"}}, other, path); !slices.Equal(both[len(both)-len(first):], first) {
		t.Error("a file before it changed the sides of a file's rows")
	}
	for _, rows := range []int{2, 3} {
		train, holdout := apply(t, table.Split{Fraction: 0.001, By: table.ByRandom}, write(t, "c.parquet", times(make([]int, rows)...)))
		if len(train) == 0 || len(holdout) == 0 {
			t.Errorf("of %d rows, a side has none", rows)
		}
	}
}

func TestSplitStratifies(t *testing.T) {
	t.Parallel()
	r := rows{schema: table.Schema{{Name: "n", Type: table.Int}, {Name: "grade", Type: table.String}}, columns: make([][]any, 2)}
	have := map[string]int{"a": 9_000, "b": 900, "c": 90, "d": 9, "e": 2, "f": 1}
	for _, grade := range slices.Sorted(maps.Keys(have)) {
		for range have[grade] {
			r.columns[0] = append(r.columns[0], int64(len(r.columns[0])))
			r.columns[1] = append(r.columns[1], grade)
		}
	}
	path := write(t, "a.parquet", r)
	for seed := range int64(3) {
		split := table.Split{Fraction: 0.2, By: table.ByRandom, Seed: seed, Stratify: true, Label: "grade"}
		_, holdout, _ := sides(t, split, path)
		got := count(holdout, "grade")
		for grade, want := range map[string]int{"a": 1_800, "b": 180, "c": 18, "d": 2, "e": 1, "f": 0} {
			if math.Abs(float64(got[grade]-want)) > 1 || want <= 1 && got[grade] != want {
				t.Errorf("seed %d: %d of %d rows of %s are held out, want %d", seed, got[grade], have[grade], grade, want)
			}
		}
	}
	split := table.Split{Fraction: 0.2, By: table.ByRandom, Stratify: true, Label: "n"}
	_, err := split.Apply(t.Context(), []string{path}, t.TempDir(), filepath.Join(t.TempDir(), "holdout.parquet"))
	if u := unreadable(t, err); !strings.Contains(u.Error(), "more than 1000 values") {
		t.Errorf("got %v", u)
	}
}

func TestSplitWarns(t *testing.T) {
	t.Parallel()
	features := []string{"plan", "region"}
	table1, ids := write(t, "a.parquet", plans()), write(t, "b.parquet", mixed(1, 3_000))
	undated := times(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	undated.columns[1][4] = nil
	sorted := times(0, 1, 2, 3, 4, 5, 6, 7, 7, 7)
	sorted.schema = append(sorted.schema, table.Column{Name: "late", Type: table.Bool})
	sorted.columns = append(sorted.columns, []any{true, false, true, false, true, false, true, true, true, true})
	tests := map[string]struct {
		split table.Split
		in    string
		want  string
		words string
	}{
		"nothing":      {table.Split{By: table.ByHash, Fraction: 0.2}, ids, "", ""},
		"few groups":   {table.Split{By: table.ByHash, Fraction: 0.25, Features: features, Label: "left"}, table1, "groups", "only 4 different combinations"},
		"far":          {table.Split{By: table.ByHash, Fraction: 0.05, Features: features, Label: "left"}, table1, "fraction groups", "25 % of the rows are held out instead of 5 %"},
		"twins":        {table.Split{By: table.ByRandom, Fraction: 0.2, Features: features, Label: "left"}, table1, "twins", "100 % of the held-out rows have the same features"},
		"one class":    {table.Split{By: table.ByTime, Time: "at", Fraction: 0.3, Features: []string{"n"}, Label: "late"}, write(t, "c.parquet", sorted), "classes", "all rows held out have the same late"},
		"without time": {table.Split{By: table.ByTime, Time: "at", Fraction: 0.3}, write(t, "d.parquet", undated), "undated", "1 rows have no at"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, made := sides(t, test.split, test.in)
			if got := checks(made); got != test.want || got != "" && !strings.Contains(made.Warnings[0].Reason, test.words) {
				t.Errorf("got %q: %v, want %q with %q", got, made.Warnings, test.want, test.words)
			}
		})
	}
}
