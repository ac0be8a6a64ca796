package onnx

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func jobsOf(t *testing.T, batches ...*Batch) (jobs []Job) {
	for _, b := range batches {
		jobs = append(jobs, Job{Context: t.Context(), Batch: b, Scores: &Scores{}})
	}
	return jobs
}

// looping returns a model that runs a loop x times, and a batch of one row.
func looping(t *testing.T) (*Model, func(x float64) *Batch) {
	t.Helper()
	m := openModel(t, "loops", Options{})
	if err := m.Check(floats(Regression, "x")); err != nil {
		t.Fatal(err)
	}
	return m, func(x float64) *Batch {
		return &Batch{Rows: 1, Columns: []Column{{Name: "x", Floats: []float64{x}}}}
	}
}

const endless = 1 << 60

func TestRunEnds(t *testing.T) {
	t.Parallel()
	m, row := looping(t)
	gone := errors.New("the client has gone")
	ctx, leave := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { leave(gone) })
	for name, test := range map[string]struct {
		job  Job
		want error
	}{
		"with its context": {Job{Context: ctx, Batch: row(endless)}, gone},
		"at its time":      {Job{Context: t.Context(), Until: time.Now().Add(50 * time.Millisecond), Batch: row(endless)}, ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.job.Scores = &Scores{}
			if err := m.Run(&test.job); !errors.Is(err, test.want) {
				t.Fatalf("the error is %v, want %v", err, test.want)
			}
			var out Scores // by the same model, and tensors that no run has ended
			if err := m.Score(t.Context(), row(3), &out); err != nil || !slices.Equal(out.Values, []float64{3}) {
				t.Errorf("the next run answers %v, %v", out.Values, err)
			}
		})
	}
}

// TestRunTogetherEnds: the run ends when no request waits for it, and not before.
func TestRunTogetherEnds(t *testing.T) {
	t.Parallel()
	m, row := looping(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	jobs := jobsOf(t, row(200_000), row(1))
	jobs[1].Context = gone
	if err := m.RunTogether(jobs); err != nil {
		t.Errorf("one client has gone, the other gets %v", err)
	}
	jobs = jobsOf(t, row(endless), row(1))
	jobs[0].Until = time.Now().Add(50 * time.Millisecond)
	jobs[1].Context = gone
	if err := m.RunTogether(jobs); !errors.Is(err, ErrTimeout) {
		t.Errorf("both are over, the error is %v", err)
	}
	if m.Overdue() != 0 {
		t.Error("a run that has stopped is overdue")
	}
}
