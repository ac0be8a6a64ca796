package evaluate_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/functions/evaluate"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

const numbers = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: numbers}
spec:
  data: {columns: {x: {type: float}, y: {type: float}}}
  model: {task: regression, label: y, features: [x]}
  evaluate: {metrics: [rmse], gates: [%s]}
`

// TestRowsThatAModelCannotBear lets models that pass the trial take all memory, or
// all time, on a row of the hold-out behind those that they were tried on.
func TestRowsThatAModelCannotBear(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		x    float64
		want string
	}{
		"grows": {4e11, "memory"}, "loops": {1 << 60, "it did not answer 100 rows within 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, numbers, "{metric: rmse, max: 1}")
			var err error
			w.f, err = evaluate.New(evaluate.Config{Threads: 1, ProbeTimeout: 5 * time.Second}, w.Deps(t, evaluate.Name))
			must(t, err)
			x := append(slices.Repeat([]float64{1}, 99), c.x)
			path := filepath.Join(t.TempDir(), "holdout.parquet")
			out, err := table.Create(path, table.Schema{{Name: "x", Type: table.Float}, {Name: "y", Type: table.Float}})
			must(t, err)
			must(t, out.Write(&table.Batch{Rows: 100, Schema: table.Schema{{Name: "x", Type: table.Float}, {Name: "y", Type: table.Float}}, Columns: []table.Vector{{Floats: x}, {Floats: x}}}))
			must(t, out.Close())
			d := w.started("penguins")
			d.Holdout, err = w.Artifacts.PutFile(functiontest.Context(t), path, ".parquet", false)
			must(t, err)
			model := filepath.Join("..", "..", "..", "shared", "onnx", "testdata", name+".onnx")
			if _, err := os.Stat(filepath.Join("testdata", model)); err != nil {
				t.Fatal(err)
			}
			approved, ev := w.judged(w.completed(d, w.model(model)))
			if approved || !strings.Contains(ev.Reason, c.want) {
				t.Errorf("approved: %v, %s; want %q", approved, ev.Reason, c.want)
			}
		})
	}
}
