package inference

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/oip"
)

// mirrored are the mirrored batches of the prediction log.
func (w *env) mirroredTraffic() (sum events.VersionTraffic, rows int64) {
	w.t.Helper()
	all, _ := w.logged()
	for _, d := range all {
		if !d.Mirrored {
			continue
		}
		rows += d.Rows
		for _, v := range d.Versions {
			sum.Version = v.Version
			sum.Requests += v.Requests
			sum.Rows += v.Rows
			sum.Errors += v.Errors
			sum.Scores.Merge(v.Scores)
		}
	}
	return sum, rows
}

func TestMirror(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, flights+"  serve: {mirror: {percent: 100}}\n")
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	g := goldenOf(t, "lightgbm")
	w.infer(g, 1) // there is no version to mirror to
	w.register("flights", "logistic")
	w.until("the candidate is loaded", func() error {
		if m := w.f.routing.Load().models["flights"].mirror; m == nil || m.number != 2 {
			return errors.New("it is not")
		}
		return nil
	})
	// Escapes are read in place: the copy must be of the body as it came.
	body := strings.Replace(string(g.inferBody(t, 0, 2, map[string]any{"id": "twice"})), `"BYTES"`, `"\u0042YTES"`, 1)
	a := w.ask("POST", "/v2/models/flights/infer", []byte(body))
	if a.Code != 200 || a.Version != "1" || a.Parameters["route"] != "champion" {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	out, err := oip.NewGRPCInferenceServiceClient(w.dial()).ModelInfer(t.Context(), g.rawTyped(t, 3))
	must(t, err)
	if out.GetModelVersion() != "1" {
		t.Errorf("%v", out)
	}
	w.ask("POST", "/v2/models/flights/versions/1/infer", g.inferBody(t, 0, 1, nil)) // who asks for a version means it
	w.until("both requests were asked again", func() error {
		if n := counter(t, w.f.metrics.mirrored.WithLabelValues("flights", "answered")); n != 2 {
			return fmt.Errorf("%v were", n)
		}
		return nil
	})
	w.stop()
	sum, rows := w.mirroredTraffic()
	if sum.Version != 2 || sum.Requests != 2 || sum.Rows != 5 || rows != 5 || sum.Errors != 0 || sum.Scores.Count() != 5 {
		t.Errorf("%d rows, %+v", rows, sum)
	}
	if p := w.State(t, "flights").Predictions; p.Rows != 1+2+3+1 || len(p.Traffic) != 1 {
		t.Errorf("mirrored rows count as served: %+v", p)
	}
}

// TestMirrorDrops: requests are answered as usual while the mirror's queue is full.
func TestMirrorDrops(t *testing.T) {
	w, g := servedFlights(t)
	s, err := w.f.routing.Load().model("flights")
	must(t, err)
	with := *s
	with.mirror, with.mirrorPercent = s.champion(), 100
	q := w.f.take()
	q.Body = g.inferBody(t, 0, 1, nil)
	q.Loaded()
	full := newMirrors(w.f) // nothing runs
	for range maxMirrored {
		full.offer(full.copyOf(&with, codec.Call{}, q), []byte("x"))
	}
	if full.copyOf(&with, codec.Call{}, q) != nil {
		t.Error("more is taken than is asked")
	}
	if n := counter(t, w.f.metrics.mirrored.WithLabelValues("flights", "dropped")); n != 1 {
		t.Errorf("%v dropped", n)
	}
	for range maxMirrored {
		a := <-full.waiting
		a.version.release()
		full.drop(a)
	}
	if n := full.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

// TestMetrics finds KServe's names beside ours, the scores of a batch, and how
// long the start took.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	deps := w.Deps(t, Name)
	reg := prometheus.NewPedanticRegistry()
	deps.Metrics = reg
	w.startIn(deps)
	w.until("the function is ready", func() error { return w.f.Ready(t.Context()) })
	g := goldenOf(t, "lightgbm")
	for range 3 {
		w.infer(g, 4)
	}
	if gauge(t, w.f.metrics.coldStart) <= 0 {
		t.Error("the start took no time")
	}
	families, err := reg.Gather()
	must(t, err)
	found := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			found[f.GetName()] += m.GetHistogram().GetSampleCount()
		}
	}
	for name, want := range map[string]uint64{
		"request_preprocess_seconds": 3, "request_predict_seconds": 3, "request_postprocess_seconds": 3, "request_explain_seconds": 0,
		"millrace_inference_seconds": 9, "millrace_inference_batch_rows": 3, "millrace_inference_load_seconds": 1,
		"millrace_inference_requests_total": 0, "millrace_inference_in_flight": 0, "millrace_inference_queued": 0, "millrace_inference_cold_start_seconds": 0,
	} {
		if n, ok := found[name]; !ok || n != want {
			t.Errorf("%s has %d observations (there is one: %v), want %d", name, n, ok, want)
		}
	}
	w.stop()
	all, _ := w.logged()
	var scores events.Sketch
	for _, d := range all {
		for _, v := range d.Versions {
			scores.Merge(v.Scores)
		}
	}
	if q := scores.Quantile(1); scores.Count() != 12 || q <= 0 || q >= 1 {
		t.Errorf("%+v", scores)
	}
}
