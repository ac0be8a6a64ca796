package predictionlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/onnx"
)

const name = "inference"

// answers has three requests of two rows each that a version answered.
func answers(t *testing.T, l *Log) {
	t.Helper()
	contract := onnx.Contract{Task: onnx.BinaryClassification, Classes: []string{"no", "yes"}, Features: []onnx.Feature{{Name: "x", Type: onnx.Float}}}
	sc, layout := codec.NewSchema("flights", "1", contract, onnx.Signature{}), NewLayout(contract)
	q := &codec.Request{}
	for i := range 3 {
		q.Reset()
		q.Body = fmt.Appendf(q.Body, `{"id":"r%d","inputs":[{"name":"x","shape":[2],"datatype":"FP64","data":[1,null]}]}`, i)
		q.Loaded()
		must(t, q.Read(sc, codec.Call{}, codec.Limits{MaxRows: 10}))
		q.Scores = onnx.Scores{Rows: 2, Width: 2, Values: []float64{0.25, 0.75, 0.5, 0.5}}
		q.Classify()
		l.Add(q, Answer{Version: 1, Route: "champion", Layout: layout, At: time.Now(), Took: time.Millisecond}, true)
	}
}

// TestPendingBatches ends the process, as SIGKILL does, with batches that were
// written and not emitted. The next one emits them, once.
func TestPendingBatches(t *testing.T) {
	t.Parallel()
	env := functiontest.New(t)
	deps := env.Deps(t, name)
	dir := filepath.Join(deps.Dir, "pending")
	o := Options{Function: name, Rows: 1, Every: time.Hour, EveryCanary: time.Hour, MaxMemory: 1 << 20, MaxDisk: 1 << 20}
	w, err := Open(dir, o, deps)
	must(t, err)
	life, kill := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.write(life); close(ended) }() // ship does not run: no batch is emitted
	answers(t, w.NewLog("flights", false))
	until(t, "three batches are on the disk", func() error {
		found, err := filepath.Glob(filepath.Join(dir, "*"+noteSuffix))
		if len(found) != 3 {
			return errors.Join(err, fmt.Errorf("%d are", len(found)))
		}
		return err
	})
	kill()
	<-ended
	must(t, os.WriteFile(filepath.Join(dir, "half"+rowsSuffix), []byte("PAR1"), 0o600))
	// One of them had been stored and emitted, and was not removed yet.
	again := *w.pending[0]
	ref, err := env.Artifacts.PutFile(t.Context(), filepath.Join(dir, again.File), rowsSuffix, false)
	must(t, err)
	again.Event.Batch = ref
	env.Announce(t, "flights", name, again.Event)

	next, err := Open(dir, o, env.Deps(t, name))
	must(t, err)
	live, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { next.Run(live); close(stopped) }()
	until(t, "all are announced and nothing is left", func() error {
		left, err := os.ReadDir(dir)
		if len(left) != 0 {
			return errors.Join(err, fmt.Errorf("%v is left", left))
		}
		return err
	})
	stop()
	<-stopped
	var requests, rows int64
	logged := env.Events(t, "flights", events.PredictionsLogged{}.EventType())
	for _, e := range logged {
		d := functiontest.Data[events.PredictionsLogged](t, e)
		requests, rows = requests+d.Versions[0].Requests, rows+d.Rows
		path, err := env.Artifacts.Path(t.Context(), d.Batch)
		must(t, err)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("batch %s: %v", d.Batch.URL, err)
		}
	}
	if len(logged) != 3 || rows != 6 || requests != 3 {
		t.Errorf("%d batches of %d requests with %d rows; want 3 of 3 with 6", len(logged), requests, rows)
	}
}

func until(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestUndefinedRows logs a row for which the model gives no number without a
// prediction, and as no evidence.
func TestUndefinedRows(t *testing.T) {
	t.Parallel()
	contract := onnx.Contract{Task: onnx.BinaryClassification, Classes: []string{"no", "yes"}, Features: []onnx.Feature{{Name: "x", Type: onnx.Float}}}
	sc, layout := codec.NewSchema("flights", "1", contract, onnx.Signature{}), NewLayout(contract)
	q, b, r := &codec.Request{}, &buffer{}, layout.take()
	for _, scores := range [][]float64{{0.25, 0.75, 0.5, 0.5}, {0.75, 0.25, math.NaN(), math.NaN()}, {math.NaN(), math.NaN(), math.NaN(), math.NaN()}, {0.5, 0.5, 0.25, 0.75}} {
		q.Reset()
		q.Body = append(q.Body, `{"instances":[[1],[2]]}`...)
		q.Loaded()
		must(t, q.Read(sc, codec.Call{Protocol: codec.V1}, codec.Limits{MaxRows: 10}))
		q.Scores = onnx.Scores{Rows: 2, Width: 2, Values: scores}
		q.Classify()
		a := Answer{Version: 1, Route: "champion", Layout: layout, At: time.Now(), Took: time.Millisecond}
		b.count(q, a)
		r.add(q, a)
	}
	after := r.batch.Columns[colFeatures+1:]
	want := []bool{false, false, false, true, true, true, false, false}
	if !slices.Equal(after[colPrediction].Nulls, want) || !slices.Equal(after[colScore].Nulls, want) {
		t.Errorf("nulls are %v and %v, want %v", after[colPrediction].Nulls, after[colScore].Nulls, want)
	}
	if got := after[colPrediction].Strings; !slices.Equal(got, []string{"yes", "no", "no", "", "", "", "no", "yes"}) {
		t.Errorf("predictions are %q", got)
	}
	if v := b.traffic[0]; v.Requests != 4 || v.Rows != 8 || v.Errors != 1 || v.Scores.Count() != 5 {
		t.Errorf("traffic is %+v; want 4 requests, 8 rows, 1 error and 5 scores", v)
	}
	if _, err := layout.encode(nil, &r.batch); err != nil {
		t.Error(err)
	}
}
