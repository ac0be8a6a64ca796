package inference

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/model"
)

// wideModel writes a regression over a matrix of so many features with two
// hidden layers of so many neurons, which costs much more than a call.
func wideModel(t testing.TB, features, width int) string {
	t.Helper()
	text := func(b []byte, n protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
	}
	number := func(b []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	}
	inner := func(b []byte, n protowire.Number, m []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), m)
	}
	var graph []byte
	node := func(op, out string, in ...string) {
		var n []byte
		for _, name := range in {
			n = text(n, 1, name)
		}
		graph = inner(graph, 1, text(text(n, 2, out), 4, op))
	}
	node("MatMul", "a", "x", "w1")
	node("Relu", "b", "a")
	node("MatMul", "c", "b", "w2")
	node("Relu", "d", "c")
	node("MatMul", "prediction", "d", "w3")
	graph = text(graph, 2, "wide")
	weights := func(name string, rows, columns int) {
		raw := make([]byte, 0, 4*rows*columns)
		for i := range rows * columns {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(i%13-6)/float32(10*rows)))
		}
		w := number(number(number(nil, 1, uint64(rows)), 1, uint64(columns)), 2, 1)
		graph = inner(graph, 5, inner(text(w, 8, name), 9, raw))
	}
	weights("w1", features, width)
	weights("w2", width, width)
	weights("w3", width, 1)
	value := func(field protowire.Number, name string, columns int) {
		shape := inner(inner(nil, 1, text(nil, 2, "N")), 1, number(nil, 1, uint64(columns)))
		graph = inner(graph, field, inner(text(nil, 1, name), 2, inner(nil, 1, inner(number(nil, 1, 1), 2, shape))))
	}
	value(11, "x", features)
	value(12, "prediction", 1)
	model := inner(inner(number(nil, 1, 8), 7, graph), 8, number(nil, 2, 13))
	path := filepath.Join(t.TempDir(), "wide.onnx")
	must(t, os.WriteFile(path, model, 0o600))
	return path
}

// servedWide is an env in which a wide model serves, and a request of a row.
func servedWide(t testing.TB, serve string) (*env, []byte) {
	t.Helper()
	const features = 32
	w := newWorld(t)
	w.cfg.Concurrency = 64
	var columns, names, row []string
	for i := range features {
		columns = append(columns, fmt.Sprintf("      f%d: {type: float}\n", i))
		names = append(names, fmt.Sprintf("f%d", i))
		row = append(row, fmt.Sprint(float64(i)/10))
	}
	w.ConfigureYAML(t, `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: wide}
spec:
  data:
    columns:
      y: {type: float}
`+strings.Join(columns, "")+`
  model:
    task: regression
    label: y
    features: [`+strings.Join(names, ", ")+"]\n"+serve)
	ref, err := w.Artifacts.PutFile(t.Context(), wideModel(t, features, 1024), ".onnx", false)
	must(t, err)
	m := events.Model{Format: "onnx", Digest: "sha256:" + strings.Repeat("0", 63) + "2", Files: []events.File{{Name: model.File, Ref: ref}}}
	w.Announce(t, "wide", "gateway", events.ModelRegistered{Model: m, Name: "wide"})
	w.Announce(t, "wide", "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: 1, Reason: "good"}})
	w.promote("wide", 1)
	w.start()
	return w, fmt.Appendf(nil, `{"inputs": [{"name": "x", "shape": [1, %d], "datatype": "FP64", "data": [%s]}]}`, features, strings.Join(row, ", "))
}

// TestBatchingPaysForWideModels measures a model whose rows are cheaper in a
// batch.
func TestBatchingPaysForWideModels(t *testing.T) {
	w, body := servedWide(t, "")
	s, err := w.f.routing.Load().model("wide")
	must(t, err)
	if b := s.shares[0].version.batcher.Load(); b == nil || !b.Configured(config.Batch{MaxRows: batchedRows}) {
		t.Errorf("requests to a wide model are not batched: %v", b)
	}
	if a := w.ask("POST", "/v2/models/wide/infer", body); a.Code != 200 || len(a.Outputs[0].Data) != 1 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}

// BenchmarkBatching asks for one row of a wide model and of a small one, alone
// and together, over as many connections as the name says.
func BenchmarkBatching(b *testing.B) {
	serve := map[string]string{"unbatched": "  serve: {batch: {max_rows: 1}}\n", "batched": "  serve: {batch: {max_rows: 32}}\n", "auto": ""}
	for _, model := range []string{"wide", "flights"} {
		for _, how := range []string{"unbatched", "batched", "auto"} {
			var w *env
			var body []byte
			if model == "wide" {
				w, body = servedWide(b, serve[how])
			} else {
				w = newWorld(b)
				w.ConfigureYAML(b, flights+serve[how])
				w.promote("flights", w.register("flights", "lightgbm"))
				w.start()
				body = benchBody(b, goldenOf(b, "lightgbm"), 1)
			}
			for _, connections := range []int{8, 32} {
				b.Run(fmt.Sprintf("%s/%s/connections=%d", model, how, connections), func(b *testing.B) {
					client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
					defer client.CloseIdleConnections()
					b.SetParallelism((connections + 1) / 2)
					cpu := cpuTime()
					var failed atomic.Int64
					b.RunParallel(func(p *testing.PB) {
						for p.Next() {
							if post(b.Context(), client, w.web.URL+"/v2/models/"+model+"/infer", body) != nil {
								failed.Add(1)
							}
						}
					})
					if failed.Load() > 0 {
						b.Errorf("%d failed", failed.Load())
					}
					b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
				})
			}
			w.stop()
		}
	}
}
