package evaluate_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

const penguins = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: penguins}
spec:
  data:
    uploads: ["penguins/*.parquet"]
    columns:
      sex: {type: string, nulls: 0.5}
      island: {type: string}
      bill_length_mm: {type: float, nulls: 0.1}
      body_mass_g: {type: float, nulls: 0.1}
      species: {type: string}
  model: {task: multiclass_classification, label: species, features: [sex, island, bill_length_mm, body_mass_g], missing: %s}
`

// proved lets a run leave the model and the answers, and returns the verdict.
func (w *env) proved(model string, predictions events.Ref, train ...string) (bool, events.Evaluation) {
	w.t.Helper()
	var files []events.File
	for _, name := range train {
		files = append(files, events.File{Name: name, Ref: w.put(name + ".parquet")})
	}
	manifest, err := json.Marshal(files)
	must(w.t, err)
	d := w.started("penguins")
	d.Train, err = w.Artifacts.PutBytes(functiontest.Context(w.t), manifest, ".json")
	must(w.t, err)
	w.Announce(w.t, w.pipeline, "train-launcher", d)
	return w.judged(w.Announce(w.t, w.pipeline, "train-launcher", events.TrainingCompleted{
		Run: d.Run, Model: w.model(model + ".onnx"), Attempts: 1, Files: []events.File{{Name: "predictions.parquet", Ref: predictions}},
	})[0])
}

// What the trainer answered, the exported model has to answer: of scikit-learn and
// of LightGBM.
func TestPredictionsProveTheModel(t *testing.T) {
	t.Parallel()
	train := []string{"penguins-train-0", "penguins-train-1"}
	for _, c := range []struct {
		model, missing string
		train          []string
		refused        []string
	}{
		{"penguins-good", "{}", train, nil},
		{"penguins-trees", "{}", train, nil},
		{"penguins-skewed", "{}", train, []string{
			"its answers to rows of the train part are not those that the trainer left in predictions.parquet: ", " of 152 rows differ by more than 0.0001, the greatest difference is 0.",
			"(probability_Adelie is ", "in all of these rows sex is missing: the trainer has to encode a missing value as the model gets it",
		}},
		// With null in the train part and the text nan for the model, it is right.
		{"penguins-skewed", "{sex: nan}", []string{"penguins-nulls"}, nil},
		{"penguins-good", "{sex: nan}", []string{"penguins-nulls"}, []string{"in all of these rows sex is missing"}},
	} {
		t.Run(c.model+c.missing, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, penguins, c.missing)
			approved, ev := w.proved(c.model, w.put(c.model+"-predictions.parquet"), c.train...)
			if approved != (c.refused == nil) {
				t.Fatalf("approved: %v, %s", approved, ev.Reason)
			}
			if approved {
				if notes := strings.Join(w.report(ev).Notes, "; "); !strings.Contains(notes, "the model answers 152 rows of the train part as the trainer did, to within ") {
					t.Errorf("notes are %s", notes)
				}
				return
			}
			if len(ev.Verdicts) != 1 || ev.Verdicts[0].Gate != "predictions" {
				t.Errorf("verdicts are %+v", ev.Verdicts)
			}
			for _, want := range c.refused {
				if !strings.Contains(ev.Reason, want) {
					t.Errorf("%q is not in\n%s", want, ev.Reason)
				}
			}
		})
	}
}

// A column of predictions.parquet.
type column struct {
	name   string
	values []float64
}

// leave writes predictions.parquet, with row as an int column.
func (w *env) leave(columns ...column) events.Ref {
	w.t.Helper()
	b := &table.Batch{Rows: len(columns[0].values), Columns: make([]table.Vector, len(columns))}
	for i, c := range columns {
		typ := table.Float
		if c.name == "row" {
			typ = table.Int
		}
		b.Schema = append(b.Schema, table.Column{Name: c.name, Type: typ})
		for _, v := range c.values {
			if typ == table.Int {
				b.Columns[i].Ints = append(b.Columns[i].Ints, int64(v))
			} else {
				b.Columns[i].Floats = append(b.Columns[i].Floats, v)
			}
		}
	}
	path := filepath.Join(w.t.TempDir(), "predictions.parquet")
	out, err := table.Create(path, b.Schema)
	must(w.t, err)
	must(w.t, out.Write(b))
	must(w.t, out.Close())
	ref, err := w.Artifacts.PutFile(functiontest.Context(w.t), path, ".parquet", false)
	must(w.t, err)
	return ref
}

func TestPredictionsThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	for want, columns := range map[string][]column{
		"it has no column row": {{"probability_Gentoo", []float64{0.5}}},
		"it has no answers: the column probability_Gentoo is missing":                   {{"row", []float64{0}}, {"score", []float64{0.5}}},
		"probability_Emperor is of no class; the classes are Adelie, Chinstrap, Gentoo": {{"row", []float64{0}}, {"probability_Emperor", []float64{0.5}}},
		"has the row 303, and the train part has 303 rows":                              {{"row", []float64{303}}, {"probability_Gentoo", []float64{0.5}}},
		"the column row of predictions.parquet has -1":                                  {{"row", []float64{-1}}, {"probability_Gentoo", []float64{0.5}}},
		"predictions.parquet has no rows":                                               {{"row", nil}, {"probability_Gentoo", nil}},
		"1 of 1 row differ by more than 0.0001, the greatest difference is +Inf: row 7 (probability_gentoo is NaN by the trainer": {
			{"row", []float64{7}}, {"probability_gentoo", []float64{math.NaN()}},
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, penguins, "{}")
			if approved, ev := w.proved("penguins-good", w.leave(columns...), "penguins-train-0", "penguins-train-1"); approved || !strings.Contains(ev.Reason, want) {
				t.Errorf("approved: %v, %s\nwant %s", approved, ev.Reason, want)
			}
		})
	}
	t.Run("no Parquet", func(t *testing.T) {
		t.Parallel()
		w := newEnv(t, penguins, "{}")
		for _, bytes := range []string{"row,prediction\n", "PAR1" + strings.Repeat("x", 100) + "\xff\xff\xff\x7fPAR1"} {
			path := filepath.Join(t.TempDir(), "p")
			must(t, os.WriteFile(path, []byte(bytes), 0o600))
			ref, err := w.Artifacts.PutFile(t.Context(), path, ".parquet", false)
			must(t, err)
			if approved, ev := w.proved("penguins-good", ref, "penguins-train-0"); approved || !strings.Contains(ev.Reason, "predictions.parquet is not a whole Parquet file") {
				t.Errorf("approved: %v, %s", approved, ev.Reason)
			}
		}
	})
}
