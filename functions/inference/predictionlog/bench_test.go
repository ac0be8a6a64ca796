package predictionlog

import (
	"testing"
	"time"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/onnx"
)

// BenchmarkBatch is what writing the prediction log costs a row.
func BenchmarkBatch(b *testing.B) {
	env := functiontest.New(b)
	w, err := Open(b.TempDir(), Options{MaxDisk: 1 << 40}, env.Deps(b, name))
	must(b, err)
	contract := onnx.Contract{Task: onnx.BinaryClassification, Classes: []string{"false", "true"}, Features: []onnx.Feature{
		{Name: "carrier", Type: onnx.String}, {Name: "origin", Type: onnx.String}, {Name: "hour", Type: onnx.Int},
		{Name: "distance", Type: onnx.Float}, {Name: "temp", Type: onnx.Float}, {Name: "weekend", Type: onnx.Bool},
	}}
	sc, layout := codec.NewSchema("flights", "1", contract, onnx.Signature{}), NewLayout(contract)
	q := &codec.Request{}
	read := func() {
		q.Reset()
		q.Body = append(q.Body, `{"instances":[{"carrier":"UA","origin":"JFK","hour":17,"distance":1400,"temp":21.5,"weekend":true}]}`...)
		q.Loaded()
		must(b, q.Read(sc, codec.Call{Protocol: codec.V1}, codec.Limits{MaxRows: 1}))
		q.Scores = onnx.Scores{Rows: 1, Width: 2, Values: []float64{0.25, 0.75}}
		q.Classify()
	}
	const rows = 5000
	b.Run("add", func(b *testing.B) {
		read()
		r := layout.take()
		b.ReportAllocs()
		for b.Loop() {
			r.add(q, Answer{Version: 1, Route: "champion", At: time.Now()})
			if r.batch.Rows == rows {
				r.put()
				r = layout.take()
			}
		}
	})
	b.Run("encode/rows=5000", func(b *testing.B) {
		r := layout.take()
		for range rows {
			read() // with an id of its own
			r.add(q, Answer{Version: 1, Route: "champion", At: time.Now(), Took: time.Duration(time.Now().Nanosecond() % 1e6)})
		}
		b.ReportAllocs()
		for b.Loop() {
			must(b, w.storeRows(&pending{Name: "bench"}, r))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	})
}
