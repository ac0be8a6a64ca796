package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"millrace.dev/config"
	"millrace.dev/shared/onnx"
)

// near compares probabilities, which may differ in their last digit when rows
// go through the model in other company.
func near(a, b any) bool {
	x, ok := a.(float64)
	y, also := b.(float64)
	return ok && also && math.Abs(x-y) < 1e-6
}

// TestTogether sends many requests at once, some of them wrong: each gets its
// own answer, and fewer runs than requests were needed.
func TestTogether(t *testing.T) {
	w, g := newWorld(t), goldenOf(t, "lightgbm")
	w.cfg.Concurrency = 64
	w.ConfigureYAML(t, flights+"  serve: {batch: {max_rows: 64, max_wait: 100ms}}\n")
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	var wg sync.WaitGroup
	const requests = 48
	asked, rows := 0, 0
	for i := range requests {
		from, end := i%(g.rows()-3), i%(g.rows()-3)+1+i%3
		wrong := i%8 == 7
		if !wrong {
			asked, rows = asked+1, rows+end-from
		}
		wg.Go(func() {
			if wrong {
				a, err := w.try("POST", "/v2/models/flights/infer", []byte(`{"inputs": [{"name": "hour", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}`))
				if err != nil || a.Code != http.StatusBadRequest {
					t.Errorf("%v %d %s", err, a.Code, a.Raw)
				}
				return
			}
			a, err := w.try("POST", "/v2/models/flights/infer", g.inferBody(t, from, end, nil))
			if err != nil || a.Code != 200 || len(a.Outputs[1].Data) != 2*(end-from) {
				t.Errorf("%v %d %s", err, a.Code, a.Raw)
				return
			}
			for k, got := range a.Outputs[1].Data {
				if !near(got, g.Scores[2*from+k]) {
					t.Errorf("rows %d to %d: %v, want %v", from, end, a.Outputs[1].Data, g.Scores[2*from:2*end])
				}
			}
		})
	}
	wg.Wait()
	runs := histogram(t, w, "millrace_inference_batch_rows")
	if runs.GetSampleCount() == 0 || runs.GetSampleCount() >= uint64(asked) || runs.GetSampleSum() != float64(rows) {
		t.Errorf("%d runs of %v rows; there were %d requests of %d", runs.GetSampleCount(), runs.GetSampleSum(), asked, rows)
	}
}

// histogram finds a histogram of the pipeline flights.
func histogram(t *testing.T, w *world, name string) *dto.Histogram {
	t.Helper()
	families, err := w.f.deps.Metrics.(prometheus.Gatherer).Gather()
	must(t, err)
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
	if i < 0 {
		t.Fatalf("there is no %s", name)
	}
	return families[i].GetMetric()[0].GetHistogram()
}

// company is a model, a way to go through it together, and rows.
func company(t *testing.T, b config.Batch) (*together, *version) {
	t.Helper()
	w, _ := servedFlights(t)
	s, err := w.f.routing.Load().model("flights")
	must(t, err)
	v := s.shares[0].version
	return newTogether(v.model, b, v.meters.rows), v
}

// TestTogetherOneIsAtFault lets the model fail for one of two.
func TestTogetherOneIsAtFault(t *testing.T) {
	g, v := company(t, config.Batch{MaxRows: 8})
	g.runs = 0 // everybody waits
	bad, good := v.madeUp(1), v.madeUp(2)
	bad.Columns[0].Name = "other"
	type end struct {
		of  *onnx.Batch
		out onnx.Scores
		err error
	}
	ends := make(chan *end, 3)
	for _, b := range []*onnx.Batch{good, bad, v.madeUp(3)} {
		go func() {
			e := &end{of: b}
			e.err = g.score(t.Context(), b, &e.out)
			ends <- e
		}()
	}
	waits(t, g, 3)
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	g.next()
	for range 3 {
		e := <-ends
		if e.of == bad {
			if e.err == nil {
				t.Error("a batch without a column was scored")
			}
			continue
		}
		var alone onnx.Scores
		must(t, v.model.Score(t.Context(), e.of, &alone))
		if e.err != nil || fmt.Sprint(e.out) != fmt.Sprint(alone) {
			t.Errorf("%v: %v, want %v", e.err, e.out, alone)
		}
	}
	if g.running != 0 || len(g.waiting) != 0 {
		t.Errorf("%d run, %d wait", g.running, len(g.waiting))
	}
}

// TestTogetherDeadline gives up waiting when the client does.
func TestTogetherDeadline(t *testing.T) {
	g, v := company(t, config.Batch{MaxRows: 8})
	g.running = g.runs // others run
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	var out onnx.Scores
	go func() { ended <- g.score(ctx, v.madeUp(1), &out) }()
	waits(t, g, 1)
	cancel(gone)
	if err := <-ended; !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	waits(t, g, 0)
	g.next() // one of the others has finished
	must(t, g.score(t.Context(), v.madeUp(1), &out))
}

func waits(t *testing.T, g *together, n int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		g.mu.Lock()
		have := len(g.waiting)
		g.mu.Unlock()
		if have == n {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d wait, want %d", have, n)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestTogetherWhenItPays leaves a model of microseconds alone, unless the
// pipeline file says otherwise; the setting follows the file.
func TestTogetherWhenItPays(t *testing.T) {
	w, g := servedFlights(t)
	batching := func() *together {
		s, err := w.f.routing.Load().model("flights")
		must(t, err)
		return s.shares[0].version.together.Load()
	}
	if batching() != nil {
		t.Error("requests to a small model go together")
	}
	w.ConfigureYAML(t, flights+"  serve: {batch: {max_rows: 16, max_wait: 1ms}}\n")
	w.until("they go together", func() error {
		if b := batching(); b == nil || b.rows != 16 || b.wait != time.Millisecond {
			return fmt.Errorf("%v", b)
		}
		return nil
	})
	w.serves(g, "1")
	w.ConfigureYAML(t, flights+"  serve: {batch: {max_rows: 1}}\n")
	w.until("they go alone", func() error {
		if batching() != nil {
			return errors.New("together")
		}
		return nil
	})
	v := &version{gain: true}
	v.puts(config.Batch{})
	if b := v.together.Load(); b == nil || b.rows != togetherRows || b.wait != 0 {
		t.Errorf("%v", b)
	}
}
