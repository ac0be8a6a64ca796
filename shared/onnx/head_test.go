package onnx

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The models of testdata/heads answer one value a row, or logits; heads.py has
// written the probabilities that they mean.
func TestHeads(t *testing.T) {
	data, err := os.ReadFile("testdata/heads/heads.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Rows          [][]float64
		Probabilities map[string][][]float64
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	b := &Batch{Rows: len(want.Rows), Columns: []Column{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	for _, row := range want.Rows {
		for i, v := range row {
			b.Columns[i].Floats = append(b.Columns[i].Floats, v)
		}
	}
	activations := map[string]string{"logit": Sigmoid, "logits-of-two": Softmax, "logits-of-three": Softmax}
	for name, rows := range want.Probabilities {
		t.Run(name, func(t *testing.T) {
			c := floats(BinaryClassification, "a b c", "no", "yes")
			if len(rows[0]) == 3 {
				c = floats(MulticlassClassification, "a b c", "one", "two", "three")
			}
			m := openModel(t, filepath.Join("heads", name), Options{})
			if c.Activation = activations[name]; c.Activation != "" {
				logits := c
				logits.Activation = ""
				if _, err := m.Probe(t.Context(), logits, b); err == nil || !strings.Contains(err.Error(), "if these are logits, the pipeline says so: model.activation is ") {
					t.Errorf("without the activation: %v", err)
				}
			}
			if _, err := m.Probe(t.Context(), c, b); err != nil {
				t.Fatal(err)
			}
			var out Scores
			if err := m.Score(t.Context(), b, &out); err != nil {
				t.Fatal(err)
			}
			for i, row := range rows {
				for j, p := range row {
					if got := out.Row(i)[j]; math.Abs(got-p) > 1e-6 {
						t.Errorf("row %d: %v, want %v", i, out.Row(i), row)
					}
				}
			}
			// In jobs of two rows and of the others, together.
			parts := []Job{{Context: t.Context(), Batch: b.first(2), Scores: &Scores{}}, {Context: t.Context(), Batch: b, Scores: &Scores{}}}
			if err := m.RunTogether(parts); err != nil || parts[0].Scores.Rows != 2 || math.Abs(parts[0].Scores.Row(1)[0]-out.Row(1)[0]) > 1e-6 || math.Abs(parts[1].Scores.Row(6)[1]-out.Row(6)[1]) > 1e-6 {
				t.Errorf("together: %v", err)
			}
			// Row by row and together is the same.
			var one Scores
			if err := m.Score(t.Context(), b.first(1), &one); err != nil || len(one.Values) != len(rows[0]) || math.Abs(one.Values[0]-out.Values[0]) > 1e-6 {
				t.Errorf("the first row alone: %v, %v", one.Values, err)
			}
		})
	}
}

// What cannot be a head of the pipeline is refused with the shapes that can.
func TestHeadsThatDoNotFit(t *testing.T) {
	two := floats(BinaryClassification, "a b c", "no", "yes")
	for name, c := range map[string]struct{ model, activation, want string }{
		"softmax of one value":   {"logit", Softmax, "[N, 2], a column for each class (no, yes) in this order"},
		"sigmoid of two":         {"logits-of-two", Sigmoid, "[N] or [N, 1], the probability of yes"},
		"three for two":          {"logits-of-three", "", "in this order, or [N] or [N, 1], the probability of yes"},
		"sigmoid, three for two": {"logits-of-three", Sigmoid, "[N] or [N, 1], the probability of yes"},
	} {
		m := openModel(t, filepath.Join("heads", c.model), Options{})
		two.Activation = c.activation
		if err := m.Check(two); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
