package evaluate_test

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/evaluate"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// BenchmarkEvaluate judges a version against a champion on a long hold-out:
// both models scored, eight metrics with their bounds, whole and by slice, two
// gates.
func BenchmarkEvaluate(b *testing.B) {
	for _, rows := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			w := newEnv(b, tumours, "{metric: roc_auc, min: 0.9}", "{metric: roc_auc, champion: {margin: 0.01}}")
			w.trained("tumours", "tumours-similar")
			w.promoted()
			d := w.started("tumours")
			d.Holdout = w.repeated("tumours.parquet", rows)
			e := w.completed(d, w.model("tumours-good.onnx"))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				deps := w.Deps(b, evaluate.Name)
				deps.Dir = b.TempDir() // nothing is kept
				f, err := evaluate.New(evaluate.Config{ProbeTimeout: time.Minute}, deps)
				must(b, err)
				p := w.State(b, w.pipeline)
				in, err := events.Decode[events.TrainingCompleted](e)
				must(b, err)
				b.StartTimer()
				if _, err := evaluate.Completed(f, functiontest.Context(b), in, p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// repeated stores a table of testdata, its rows over and over again.
func (w *env) repeated(name string, rows int) events.Ref {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "repeated.parquet")
	var out *table.Writer
	for written := 0; written < rows; {
		r, err := table.Open(filepath.Join("testdata", name), nil)
		must(w.t, err)
		if out == nil {
			out, err = table.Create(path, r.Schema())
			must(w.t, err)
		}
		for {
			batch, err := r.Next(1 << 20)
			if errors.Is(err, io.EOF) {
				break
			}
			must(w.t, err)
			must(w.t, out.Write(batch))
			written += batch.Rows
		}
		must(w.t, r.Close())
	}
	must(w.t, out.Close())
	ref, err := w.Artifacts.PutFile(functiontest.Context(w.t), path, ".parquet", true)
	must(w.t, err)
	return ref
}
