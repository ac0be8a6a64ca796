package onnx

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(b)) }

func TestScoreAnswersAsPythonDoes(t *testing.T) {
	loadLibrary(t)
	for name := range readGolden(t) {
		t.Run(name, func(t *testing.T) {
			m, g := openChecked(t, name, Options{Labels: true})
			b := g.batch(t)
			var out Scores
			if err := m.Score(t.Context(), b, &out); err != nil {
				t.Fatal(err)
			}
			if out.Rows != b.Rows || out.Width != max(1, len(g.Classes)) || len(out.Values) != len(g.Scores) {
				t.Fatalf("%d rows of %d, %d values; want %d values", out.Rows, out.Width, len(out.Values), len(g.Scores))
			}
			for i := range g.Scores {
				if !near(out.Values[i], g.Scores[i]) {
					t.Fatalf("value %d is %v, Python has %v", i, out.Values[i], g.Scores[i])
				}
			}
			if !slices.Equal(out.Labels, g.Labels) {
				t.Errorf("labels are\n%v, Python has\n%v", out.Labels, g.Labels)
			}
			if _, err := m.Probe(t.Context(), g.contract(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestScoreInManySizes(t *testing.T) {
	m, g := openChecked(t, "logistic", Options{})
	b := g.batch(t)
	out := &Scores{}
	// More sizes than slots are kept, and one that is more than goes in at a time.
	for _, rows := range []int{0, 1, 2, 7, 40, 100, 1, maxRows, maxRows + 1, 2*maxRows + 3, 1} {
		if err := m.Score(t.Context(), repeat(b, rows), out); err != nil {
			t.Fatal(err)
		}
		if out.Rows != rows || len(out.Values) != rows*2 || out.Labels != nil {
			t.Fatalf("%d rows gave %d with %d values and labels %v", rows, out.Rows, len(out.Values), out.Labels)
		}
		for i, v := range out.Values {
			if want := g.Scores[i%len(g.Scores)]; !near(v, want) {
				t.Fatalf("%d rows: value %d is %v, want %v", rows, i, v, want)
			}
		}
	}
	for rows := range 3 * maxIdleSlots {
		if err := m.Score(t.Context(), repeat(b, rows), out); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.plan.idle.kept); n != maxIdleSlots {
		t.Errorf("%d slots are kept, want %d", n, maxIdleSlots)
	}
}

// TestRunTogether: each batch has the answers that it would have alone.
func TestRunTogether(t *testing.T) {
	loadLibrary(t)
	for name := range readGolden(t) {
		t.Run(name, func(t *testing.T) {
			m, g := openChecked(t, name, Options{Labels: true})
			all := g.batch(t)
			jobs := jobsOf(t, repeat(all, 1), all, repeat(all, 3))
			if err := m.RunTogether(jobs); err != nil {
				t.Fatal(err)
			}
			for i, j := range jobs {
				var alone Scores
				if err := m.Score(t.Context(), j.Batch, &alone); err != nil {
					t.Fatal(err)
				}
				if j.Scores.Rows != alone.Rows || j.Scores.Width != alone.Width || !slices.EqualFunc(j.Scores.Values, alone.Values, near) || !slices.Equal(j.Scores.Labels, alone.Labels) {
					t.Errorf("batch %d: %v, alone %v", i, j.Scores, alone)
				}
			}
		})
	}
	m, g := openChecked(t, "logistic", Options{})
	many := repeat(g.batch(t), MaxTogether)
	if err := m.RunTogether(jobsOf(t, many, many)); err == nil || !strings.Contains(err.Error(), "at most 4096 can be") {
		t.Errorf("%v", err)
	}
	if err := m.RunTogether(nil); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

func TestScoreFindsColumnsByName(t *testing.T) {
	m, g := openChecked(t, "matrix", Options{})
	b := g.batch(t)
	slices.Reverse(b.Columns)
	b.Columns = append([]Column{{Name: "comment", Strings: []string{"not a feature"}}}, b.Columns...)
	var out Scores
	if err := m.Score(t.Context(), b, &out); err != nil {
		t.Fatal(err)
	}
	for i, v := range out.Values {
		if !near(v, g.Scores[i]) {
			t.Fatalf("value %d is %v, want %v", i, v, g.Scores[i])
		}
	}
}

func TestScoreRefuses(t *testing.T) {
	m, g := openChecked(t, "logistic", Options{})
	vectors, vg := openChecked(t, "vectors", Options{})
	tests := map[string]struct {
		model  *Model
		golden golden
		spoil  func(b *Batch)
		want   string
	}{
		"a missing column":       {m, g, func(b *Batch) { b.Columns = b.Columns[1:] }, "column carrier is missing"},
		"too few values":         {m, g, func(b *Batch) { b.Columns[2].Ints = b.Columns[2].Ints[1:] }, "column hour has 39 values of type int for 40 rows"},
		"values of another type": {m, g, func(b *Batch) { b.Columns[3] = Column{Name: "distance", Ints: make([]int64, 40)} }, "column distance has 0 values of type float for 40 rows"},
		"too few null flags":     {m, g, func(b *Batch) { b.Columns[4].Nulls = []bool{true} }, "column temp has 1 null flags for 40 rows"},
		"a null int":             {m, g, func(b *Batch) { b.Columns[2].Nulls = make([]bool, 40); b.Columns[2].Nulls[7] = true }, "column hour, row 7: the value is missing, and the model takes it as INT64"},
		"a null bool":            {vectors, vg, func(b *Batch) { b.Columns[0].Nulls = []bool{false, false, true} }, "column flag, row 2: the value is missing, and the model takes it as BOOL"},
		"a null timestamp":       {vectors, vg, func(b *Batch) { b.Columns[1].Nulls = []bool{true, false, false} }, "column at, row 0: the value is missing"},
		"a string with a NUL":    {m, g, func(b *Batch) { b.Columns[0].Strings[3] = "A\x00B" }, "column carrier, row 3: the string has a NUL in it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := test.golden.batch(t)
			test.spoil(b)
			err := test.model.Score(t.Context(), b, &Scores{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
			if err := test.model.Score(t.Context(), test.golden.batch(t), &Scores{}); err != nil {
				t.Errorf("good rows after it: %v", err)
			}
		})
	}
}

func TestScoreTakesNulls(t *testing.T) {
	m, g := openChecked(t, "logistic", Options{})
	b := g.batch(t)
	want := b.Columns[0].Strings[5]
	for _, rows := range []int{1, 40} {
		missing, empty := repeat(b, rows), repeat(b, rows)
		missing.Columns[0].Nulls = make([]bool, rows)
		missing.Columns[0].Nulls[0] = true
		empty.Columns[0].Strings[0] = ""
		missing.Columns[5].Nulls = make([]bool, rows) // a bool that goes in as a float
		var got, expected Scores
		if err := errors.Join(m.Score(t.Context(), missing, &got), m.Score(t.Context(), empty, &expected)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Values, expected.Values) {
			t.Errorf("%d rows: a missing string is scored as %v, an empty one as %v", rows, got.Row(0), expected.Row(0))
		}
	}
	if b.Columns[0].Strings[5] != want {
		t.Error("Score changed the batch")
	}
}

func TestScoreStopsWithItsContext(t *testing.T) {
	m, g := openChecked(t, "logistic", Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Score(ctx, g.batch(t), &Scores{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
}

func TestScoreFromManyGoroutinesWhileClosing(t *testing.T) {
	m, g := openChecked(t, "lightgbm", Options{Labels: true})
	b := g.batch(t)
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for worker := range 8 {
		wg.Go(func() {
			rows := repeat(b, 1+worker)
			var out Scores
			for i := range 100_000 {
				if i == 50 {
					started <- struct{}{}
				}
				err := m.Score(t.Context(), rows, &out)
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				for j, v := range out.Values {
					if !near(v, g.Scores[j]) {
						t.Errorf("worker %d: value %d is %v, want %v", worker, j, v, g.Scores[j])
						return
					}
				}
				if !slices.Equal(out.Labels, g.Labels[:rows.Rows]) {
					t.Errorf("worker %d: labels are %v", worker, out.Labels)
					return
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	if err := m.Check(g.contract()); err != nil { // also while others score
		t.Error(err)
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := m.Check(g.contract()); !errors.Is(err, ErrClosed) {
		t.Errorf("Check after Close says %v", err)
	}
}

func TestScoreNeedsACheck(t *testing.T) {
	m := openModel(t, "iris", Options{})
	if err := m.Score(t.Context(), &Batch{}, &Scores{}); !errors.Is(err, ErrUnchecked) {
		t.Errorf("error is %v, want %v", err, ErrUnchecked)
	}
}

func TestWarmScoreAllocatesNothing(t *testing.T) {
	for _, name := range []string{"logistic", "lightgbm", "matrix", "iris"} {
		m, g := openChecked(t, name, Options{})
		b := repeat(g.batch(t), 1)
		var out Scores
		ctx := t.Context()
		allocs := testing.AllocsPerRun(100, func() {
			if err := m.Score(ctx, b, &out); err != nil {
				t.Error(err)
			}
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations for a row", name, allocs)
		}
	}
}
