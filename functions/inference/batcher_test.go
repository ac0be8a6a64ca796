package inference

import (
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
	"millrace.dev/functions/inference/batcher"
)

// near compares probabilities, which may differ in their last digit when rows
// go through the model in another batch.
func near(a, b any) bool {
	x, ok := a.(float64)
	y, also := b.(float64)
	return ok && also && math.Abs(x-y) < 1e-6
}

// TestBatching sends many requests at once, some of them wrong: each gets its
// own answer, and fewer runs than requests were needed.
func TestBatching(t *testing.T) {
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
func histogram(t *testing.T, w *env, name string) *dto.Histogram {
	t.Helper()
	families, err := w.f.deps.Metrics.(prometheus.Gatherer).Gather()
	must(t, err)
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
	if i < 0 {
		t.Fatalf("there is no %s", name)
	}
	return families[i].GetMetric()[0].GetHistogram()
}

// TestBatchingWhenItPays does not batch a model of microseconds, unless the
// pipeline file says otherwise; the setting follows the file.
func TestBatchingWhenItPays(t *testing.T) {
	w, g := servedFlights(t)
	batching := func() *batcher.Batcher {
		s, err := w.f.routing.Load().model("flights")
		must(t, err)
		return s.shares[0].version.batcher.Load()
	}
	if batching() != nil {
		t.Error("requests to a small model are batched")
	}
	w.ConfigureYAML(t, flights+"  serve: {batch: {max_rows: 16, max_wait: 1ms}}\n")
	w.until("they are batched", func() error {
		if b := batching(); b == nil || !b.Configured(config.Batch{MaxRows: 16, MaxWait: config.Duration(time.Millisecond)}) {
			return fmt.Errorf("%v", b)
		}
		return nil
	})
	w.serves(g, "1")
	w.ConfigureYAML(t, flights+"  serve: {batch: {max_rows: 1}}\n")
	w.until("they are not batched", func() error {
		if batching() != nil {
			return errors.New("they are")
		}
		return nil
	})
	v := &version{batchingPays: true}
	v.configureBatching(config.Batch{})
	if b := v.batcher.Load(); b == nil || !b.Configured(config.Batch{MaxRows: batchedRows}) {
		t.Errorf("%v", b)
	}
}
