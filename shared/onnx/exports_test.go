package onnx

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The models of testdata/exports are as exporters write them by default; exports.json has what Python's onnxruntime
// answers for them.

func readExports(t *testing.T) map[string]golden {
	t.Helper()
	data, err := os.ReadFile("testdata/exports/exports.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]golden
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestExportsAreTakenAndAnswerAsInPython(t *testing.T) {
	for name, g := range readExports(t) {
		t.Run(name, func(t *testing.T) {
			m := openModel(t, filepath.Join("exports", name), Options{})
			if classes := m.Signature().Classes; g.Task != Regression && !slices.Equal(classes, g.Classes) {
				t.Errorf("the model's classes are %v, want %v", classes, g.Classes)
			}
			b := g.batch(t)
			if _, err := m.Probe(t.Context(), g.contract(), b); err != nil {
				t.Fatalf("real rows: %v", err)
			}
			if _, err := m.Probe(t.Context(), g.contract(), nil); err != nil {
				t.Fatalf("made-up rows: %v", err)
			}
			var out Scores
			if err := m.Score(t.Context(), b, &out); err != nil {
				t.Fatal(err)
			}
			for i, want := range g.Scores {
				if math.Abs(out.Values[i]-want) > 1e-5*max(1, math.Abs(want)) {
					t.Fatalf("scores are %v, want %v", out.Values, g.Scores)
				}
			}
		})
	}
}

func TestOutputsAreTakenAsTheyAreGiven(t *testing.T) {
	g := readExports(t)["catboost-regressor"]
	m := openModel(t, "exports/catboost-regressor", Options{})
	if declared := m.Signature().Outputs[0].Shape; len(declared) != 1 {
		t.Fatalf("the file declares %v, and this test wants one that declares [N]", declared)
	}
	if err := m.Check(g.contract()); err != nil {
		t.Fatal(err)
	}
	if given := m.Signature().Outputs[0].Shape; !slices.Equal(given, []int64{-1, 1}) {
		t.Errorf("the shape after Check is %v, want [-1 1]", given)
	}
}

func TestProbeComparesTheClassesWithTheModels(t *testing.T) {
	three := floats(MulticlassClassification, "a b", "low", "mid", "high")
	for name, want := range map[string]string{
		"exports/catboost-357":    "the model answers by the classes 3, 5, 7, the pipeline by low, mid, high",
		"exports/tree-357-tensor": "the model answers by the classes 3, 5, 7, the pipeline by low, mid, high",
		"exports/catboost-words":  "the model has its classes in the order high, low, mid, the pipeline in the order low, mid, high",
	} {
		_, err := openModel(t, name, Options{}).Probe(t.Context(), three, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", name, err, want)
		}
	}
	// Classes that are numbered from 0 are places, and go with any names.
	binary := floats(BinaryClassification, "a b", "no", "yes")
	if _, err := openModel(t, "exports/catboost-binary", Options{}).Probe(t.Context(), binary, nil); err != nil {
		t.Error(err)
	}
}

func TestProbeRefusesOnRealRowsAndWarnsOnMadeUpOnes(t *testing.T) {
	all := readExports(t)
	oneHot := all["one-hot"]
	unknown := oneHot.batch(t)
	unknown.Columns[0].Strings[1] = "Paris"
	log := all["box-cox"]
	zero := log.batch(t)
	zero.Columns[0].Floats[1] = -1
	free := log.contract()
	free.Features = []Feature{{Name: "income", Type: Float}} // without a min: 0 is made up
	tests := map[string]struct {
		model          string
		contract       Contract
		rows           *Batch
		warning, error string
	}{
		"a category that is unknown":          {"exports/one-hot", oneHot.contract(), unknown, "", "run the model on 5 real rows"},
		"a made-up category that is unknown":  {"exports/one-hot", oneHot.contract(), nil, "the model cannot answer made-up rows", ""},
		"a real row without an answer":        {"exports/box-cox", free, zero, "", "for a real row: a model must answer numbers"},
		"a made-up row without an answer":     {"exports/box-cox", free, nil, "for a made-up row: a model must answer numbers", ""},
		"made-up rows within what is allowed": {"exports/box-cox", log.contract(), nil, "", ""},
		"real rows that are all answered":     {"exports/box-cox", free, log.batch(t), "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			warnings, err := openModel(t, test.model, Options{}).Probe(t.Context(), test.contract, test.rows)
			if got := strings.Join(warnings, "; "); (got == "") != (test.warning == "") || !strings.Contains(got, test.warning) {
				t.Errorf("the warning is %q, want %q", got, test.warning)
			}
			if got := fmt.Sprint(err); (err == nil) != (test.error == "") || err != nil && !strings.Contains(got, test.error) {
				t.Errorf("the error is %q, want %q", got, test.error)
			}
		})
	}
}

func TestAModelMayDependOnItsBatchWhereTheContractSaysSo(t *testing.T) {
	c := floats(Regression, "x")
	m := openModel(t, "exports/ranks", Options{})
	if _, err := m.Probe(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "say why in model.batch_dependent") {
		t.Errorf("error is %v", err)
	}
	c.BatchDependent = true
	if _, err := m.Probe(t.Context(), c, nil); err != nil {
		t.Error(err)
	}
}

func TestMadeUpRowsKeepToTheContract(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	c := Contract{Features: []Feature{
		{Name: "year", Type: Int, Min: number(2000), Max: number(2001)}, {Name: "level", Type: Int, Values: []string{"7", "9"}},
		{Name: "share", Type: Float, Min: number(0.25), Max: number(0.75)}, {Name: "loss", Type: Float, Max: number(-5)},
		{Name: "size", Type: Float, Values: []string{"0.5"}}, {Name: "city", Type: String, Values: []string{"LA", "SF"}},
	}}
	b := c.MadeUp(4)
	for r := range b.Rows {
		if y := b.Columns[0].Ints[r]; y != 2000 && y != 2001 {
			t.Errorf("year is %d", y)
		}
		if l := b.Columns[1].Ints[r]; l != 7 && l != 9 {
			t.Errorf("level is %d", l)
		}
		if s := b.Columns[2].Floats[r]; s < 0.25 || s > 0.75 {
			t.Errorf("share is %v", s)
		}
		if l := b.Columns[3].Floats[r]; l > -5 {
			t.Errorf("loss is %v", l)
		}
		if s := b.Columns[4].Floats[r]; s != 0.5 {
			t.Errorf("size is %v", s)
		}
		if s := b.Columns[5].Strings[r]; s != "LA" && s != "SF" {
			t.Errorf("city is %q", s)
		}
	}
}

func TestInputsThatSkl2onnxHasRenamed(t *testing.T) {
	m := openModel(t, "exports/one-hot", Options{})
	g := readExports(t)["one-hot"]
	if err := m.Check(g.contract()); err != nil {
		t.Fatal(err)
	}
	if in := m.Signature().Inputs[1].Name; in != "mean income" {
		t.Errorf("the input is called %q after Check, want the feature's name", in)
	}
	c := g.contract()
	c.Features = []Feature{c.Features[0], {Name: "mean income", Type: Float}, {Name: "mean-income", Type: Float}}
	err := m.Check(c)
	if err == nil || !strings.Contains(err.Error(), "input mean_income could be each of mean income, mean-income") {
		t.Errorf("error is %v", err)
	}
}
