package onnx

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func flights() Contract {
	return Contract{
		Task:    BinaryClassification,
		Classes: []string{"false", "true"},
		Features: []Feature{{Name: "carrier", Type: String}, {Name: "origin", Type: String}, {Name: "hour", Type: Int},
			{Name: "distance", Type: Float}, {Name: "temp", Type: Float}, {Name: "weekend", Type: Bool}},
	}
}

// floats is a contract of float features.
func floats(task string, names string, classes ...string) Contract {
	c := Contract{Task: task, Classes: classes}
	for n := range strings.FieldsSeq(names) {
		c.Features = append(c.Features, Feature{Name: n, Type: Float})
	}
	return c
}

func TestCheckSaysEachMismatch(t *testing.T) {
	three := floats(MulticlassClassification, "a b c d", "one", "two", "three")
	tests := map[string]struct {
		model    string
		contract Contract
		want     []string // all of them, and no other lines
	}{
		"inputs missing, extra, of another type": {"logistic", Contract{
			Task:    BinaryClassification,
			Classes: []string{"false", "true"},
			Features: []Feature{{Name: "carrier", Type: Int}, {Name: "origin", Type: String}, {Name: "hour", Type: Timestamp},
				{Name: "distance", Type: String}, {Name: "humidity", Type: Float}},
		}, []string{
			"input carrier is BYTES, but a feature of type int goes in as INT64 or FP32 or FP64",
			"input distance is FP32, but a feature of type string goes in as BYTES",
			"feature humidity (float) has no input: the model needs an input of this name, FP32 or FP64 of shape [N, 1]",
			"input temp (FP32) is no feature of the pipeline, its features are carrier, origin, hour, distance, humidity",
			"input weekend (FP32) is no feature of the pipeline",
		}},
		"number and order of classes": {"iris", floats(MulticlassClassification, "sepal_length sepal_width petal_length petal_width", "setosa", "virginica"), []string{
			"output probabilities has shape [N, 3], the pipeline has 2 classes (setosa, virginica): it needs [N, 2]",
		}},
		"order of classes": {"iris", floats(MulticlassClassification, "sepal_length sepal_width petal_length petal_width", "virginica", "setosa", "versicolor"), []string{
			"the model has its classes in the order setosa, versicolor, virginica, the pipeline in the order virginica, setosa, versicolor",
		}},
		"types and shapes": {"odd-inputs", Contract{Task: Regression, Features: []Feature{{Name: "hour", Type: Int}, {Name: "image", Type: Float}}}, []string{
			"input hour is INT32, but a feature of type int goes in as INT64 or FP32 or FP64",
			"input image has shape [N, 3], a feature's input needs [N, 1]",
			"no output can be the prediction: FP32 or FP64 of shape [N] or [N, 1]; the model's outputs are y FP32 unknown",
		}},
		"width of the matrix": {"matrix", floats(Regression, "a b"), []string{
			"input features takes 10 columns, the pipeline has 2 features (a, b)",
		}},
		"strings for a matrix": {"external", Contract{Task: MulticlassClassification, Classes: three.Classes, Features: []Feature{
			{Name: "a", Type: Float}, {Name: "b", Type: String}, {Name: "c", Type: Timestamp}, {Name: "d", Type: Bool},
		}}, []string{
			"input x is a float matrix, which cannot hold feature b of type string: give the model one input for each feature, named like it",
			"input x is a float matrix, which cannot hold feature c of type timestamp",
		}},
		"a classifier for a regression": {"external", floats(Regression, "a b c d"), []string{
			"no output can be the prediction: FP32 or FP64 of shape [N] or [N, 1]; the model's outputs are p FP32 [N, 3]",
		}},
		"a regression for a classifier": {"matrix64", floats(MulticlassClassification, "a b c d e f g h i j", "no", "yes", "maybe"), []string{
			"no output can be the probabilities: FP32 or FP64 of shape [N, 3], a column for each class (no, yes, maybe) in this order; the model's outputs are variable FP64 [N, 1]",
		}},
		"two outputs that could be it": {"two-candidates", three, []string{
			"2 outputs could be the probabilities",
		}},
		"a bad contract": {"iris", Contract{Task: "clustering", Features: []Feature{{Name: "a", Type: "number"}, {Name: "a", Type: Int}}}, []string{
			`feature a has type "number", allowed are string, int, float, bool, timestamp`,
			"the contract has feature a twice",
			`task is "clustering", allowed are binary_classification, multiclass_classification, regression`,
		}},
		"an empty contract": {"iris", Contract{Task: BinaryClassification}, []string{
			"the contract has no features",
			"a binary classification has 2 classes, the contract has 0 (none)",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := openModel(t, test.model, Options{})
			err := m.Check(test.contract)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing says %q", want)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(test.want) {
				t.Errorf("%d mismatches are said, want %d", lines, len(test.want))
			}
			if t.Failed() {
				t.Logf("the error is\n%v", err)
			}
		})
	}
}

func TestSignature(t *testing.T) {
	m, _ := openChecked(t, "logistic", Options{})
	s := m.Signature()
	if s.Matrix || s.ScoreOutput != "probabilities" || s.LabelOutput != "label" {
		t.Errorf("roles are %v, %q, %q", s.Matrix, s.ScoreOutput, s.LabelOutput)
	}
	if in := s.Inputs[0]; in.Name != "carrier" || in.Datatype != "BYTES" || !slices.Equal(in.Shape, []int64{-1, 1}) {
		t.Errorf("first input is %v", in)
	}
	if out := s.Outputs[1]; out.Name != "probabilities" || out.Datatype != "FP32" || !slices.Equal(out.Shape, []int64{-1, 2}) {
		t.Errorf("second output is %v", out)
	}
	if m, _ := openChecked(t, "matrix", Options{}); !m.Signature().Matrix || m.Signature().LabelOutput != "" {
		t.Errorf("the matrix model's signature is %v", m.Signature())
	}
	if s := openModel(t, "logistic", Options{}).Signature(); s.ScoreOutput != "" || len(s.Inputs) != 6 {
		t.Errorf("before Check the signature is %v", s)
	}
}

func TestCheckFindsOutShapesTheModelDoesNotSay(t *testing.T) {
	m := openModel(t, "unknown-shape", Options{})
	if _, err := m.Probe(t.Context(), floats(MulticlassClassification, "a b c d", "one", "two", "three"), nil); err != nil {
		t.Error(err)
	}
	if s := m.Signature(); s.ScoreOutput != "p" || !slices.Equal(s.Outputs[0].Shape, []int64{-1, 3}) {
		t.Errorf("the signature is %v", s)
	}
	err := m.Check(floats(BinaryClassification, "a b c d", "no", "yes"))
	if err == nil || !strings.Contains(err.Error(), "the model's outputs are p FP32 [N, 3]") {
		t.Errorf("error is %v", err)
	}
	if err := m.Score(t.Context(), madeUp(floats("", "a b c d"), 2), &Scores{}); err != nil {
		t.Errorf("a Check that failed spoiled the one before: %v", err)
	}
}

func TestLabelsThatAreNumbersMeanClasses(t *testing.T) {
	m := openModel(t, "number-labels", Options{Labels: true})
	for _, classes := range [][]string{{"one", "two", "three"}, {"1", "2", "3"}} {
		c := floats(MulticlassClassification, "a b c d", classes...)
		if err := m.Check(c); err != nil {
			t.Fatal(err)
		}
		b := madeUp(c, 1)
		b.Columns[3].Floats[0] = 5
		var out Scores
		if err := m.Score(t.Context(), b, &out); err != nil {
			t.Fatal(err)
		}
		// The third class wins: number 2. Where the classes are numbers the model's number is the class.
		if want := map[string]string{"one": "three", "1": "2"}[classes[0]]; out.Labels[0] != want {
			t.Errorf("classes %v: label is %q, want %q (%v)", classes, out.Labels[0], want, out.Values)
		}
	}
}

func TestProbeRefusesModelsThatRunBadly(t *testing.T) {
	three := floats(MulticlassClassification, "a b c d", "one", "two", "three")
	tests := map[string]struct {
		contract Contract
		want     string
	}{
		"raw-scores":            {three, "probabilities"},
		"depends-on-neighbours": {three, "output p"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := openModel(t, name, Options{}).Probe(t.Context(), test.contract, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestProbeEndsAModelThatRunsForEver(t *testing.T) {
	m := openModel(t, "endless", Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := m.Probe(ctx, floats(Regression, "x"), nil)
	if err == nil || !strings.Contains(err.Error(), "it did not end in time") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

func TestProbeKeepsToTheValuesThatAreAllowed(t *testing.T) {
	c := flights()
	c.Features[0].Values = []string{"AA", "B6"}
	b := madeUp(c, 3)
	if got := b.Columns[0].Strings; !slices.Equal(got, []string{"AA", "B6", "AA"}) {
		t.Errorf("carriers are %v", got)
	}
	if _, err := openModel(t, "lightgbm", Options{}).Probe(t.Context(), c, nil); err != nil {
		t.Error(err)
	}
}
