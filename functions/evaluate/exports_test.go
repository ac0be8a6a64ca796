package evaluate_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

const incomes = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: incomes}
spec:
  data:
    uploads: ["incomes/*.csv"]
    columns: {city: {type: string}, mean income: {type: float}, y: {type: string}}
  model: {task: binary_classification, label: y, classes: ["no", "yes"], features: [city, mean income]}
  evaluate: {metrics: [accuracy], gates: [%s]}
`

const sizes = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: sizes}
spec:
  data:
    uploads: ["sizes/*.csv"]
    columns: {a: {type: float}, b: {type: float}, y: {type: int}}
  model: {task: multiclass_classification, label: y, features: [a, b]CLASSES}
  evaluate: {metrics: [accuracy], gates: [%s]}
`

// export is a model as an exporter writes it by default.
func (w *env) export(name string) events.Model {
	return w.model(filepath.Join("..", "..", "..", "shared", "onnx", "testdata", "exports", name+".onnx"))
}

// rows stores a hold-out.
func (w *env) rows(b *table.Batch) events.Ref {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "rows.parquet")
	out, err := table.Create(path, b.Schema)
	must(w.t, err)
	must(w.t, errors.Join(out.Write(b), out.Close()))
	ref, err := w.Artifacts.PutFile(functiontest.Context(w.t), path, ".parquet", false)
	must(w.t, err)
	return ref
}

// A model that refuses categories it has not met can be judged by real rows alone.
func TestAModelIsTriedOnRowsOfTheHoldout(t *testing.T) {
	t.Parallel()
	holdout := func(city string) *table.Batch {
		return &table.Batch{
			Schema: table.Schema{{Name: "city", Type: table.String}, {Name: "mean income", Type: table.Float}, {Name: "y", Type: table.String}},
			Rows:   3,
			Columns: []table.Vector{
				{Strings: []string{city, "SF", "NYC"}}, {Floats: []float64{20000, 30000, 25000}}, {Strings: []string{"yes", "no", "no"}},
			},
		}
	}
	judge := func(t *testing.T, city string) (bool, events.Evaluation) {
		w := newEnv(t, incomes, "{metric: accuracy, min: 0.9}")
		d := w.started("tumours")
		d.Holdout, d.Profile = w.rows(holdout(city)), events.Ref{}
		return w.judged(w.completed(d, w.export("one-hot")))
	}
	t.Run("that it knows", func(t *testing.T) {
		t.Parallel()
		if approved, ev := judge(t, "LA"); !approved || ev.Rows != 3 {
			t.Errorf("approved %t: %s", approved, ev.Reason)
		}
	})
	t.Run("that it does not know", func(t *testing.T) {
		t.Parallel()
		if approved, ev := judge(t, "Paris"); approved || !strings.Contains(ev.Reason, "run the model on 3 real rows") {
			t.Errorf("approved %t: %s", approved, ev.Reason)
		}
	})
	t.Run("of the dataset without a hold-out", func(t *testing.T) {
		t.Parallel()
		for city, want := range map[string]bool{"LA": true, "Paris": false} {
			w := newEnv(t, incomes)
			rows, other := w.rows(holdout(city)), w.put("tumours.parquet") // a manifest and profiles, which are not read here
			w.Announce(t, w.pipeline, "validate", events.DatasetValidated{
				Snapshot: "sha256:" + strings.Repeat("5", 64), Partitions: 1, Rows: 3, Manifest: other, Profile: other,
				Added: &events.DatasetPartition{Object: events.Object{Key: "incomes/d.csv"}, Data: rows, Rows: 3, Profile: other},
			})
			approved, ev := w.judged(w.Announce(t, w.pipeline, "gateway", events.ModelRegistered{Model: w.export("one-hot")})[0])
			if approved != want || len(w.report(ev).Notes) != 0 {
				t.Errorf("%s: approved %t: %s; notes %v", city, approved, ev.Reason, w.report(ev).Notes)
			}
		}
	})
	t.Run("without a hold-out", func(t *testing.T) {
		t.Parallel()
		w := newEnv(t, incomes)
		approved, ev := w.judged(w.Announce(t, w.pipeline, "gateway", events.ModelRegistered{Model: w.export("one-hot")})[0])
		notes := strings.Join(w.report(ev).Notes, "; ")
		if !approved || !strings.Contains(notes, "the model cannot answer made-up rows") {
			t.Errorf("approved %t: %s; notes: %s", approved, ev.Reason, notes)
		}
	})
}

func TestClassesAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	holdout := &table.Batch{
		Schema:  table.Schema{{Name: "a", Type: table.Float}, {Name: "b", Type: table.Float}, {Name: "y", Type: table.Int}},
		Rows:    3,
		Columns: []table.Vector{{Floats: []float64{-2, 0, 2}}, {Floats: []float64{0, 0, 0}}, {Ints: []int64{3, 5, 7}}},
	}
	for _, c := range []struct{ name, classes, model, refusal string }{
		{"the pipeline names none", "", "catboost-357", ""},
		{"the pipeline names none", "", "tree-357-tensor", ""},
		{"the pipeline names the model's", ", classes: [3, 5, 7]", "catboost-357", ""},
		{"the pipeline names others", ", classes: [1, 2, 3]", "catboost-357", "the model answers by the classes 3, 5, 7, the pipeline by 1, 2, 3"},
	} {
		t.Run(c.name+" "+c.model, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, strings.Replace(sizes, "CLASSES", c.classes, 1), "{metric: accuracy, min: 1}")
			d := w.started("tumours")
			d.Holdout, d.Profile = w.rows(holdout), events.Ref{}
			approved, ev := w.judged(w.completed(d, w.export(c.model)))
			if approved != (c.refusal == "") || !strings.Contains(ev.Reason, c.refusal) {
				t.Errorf("approved %t: %s", approved, ev.Reason)
			}
		})
	}
}
