package onnx

import (
	"math"
	"strings"
	"testing"
)

// TestNumbersThatDoNotFit has a matrix of FP32 get numbers that it does not hold:
// they are rounded to the nearest, but not to infinity.
func TestNumbersThatDoNotFit(t *testing.T) {
	m, g := openChecked(t, "matrix", Options{})
	score := func(value float64) ([]float64, error) {
		b := repeat(g.batch(t), 3)
		b.Columns[0].Floats[2] = value
		var out Scores
		err := m.Score(t.Context(), b, &out)
		return out.Values, err
	}
	written, err := score(16_777_217)
	if err != nil {
		t.Fatal(err)
	}
	if nearest, err := score(16_777_216); err != nil || nearest[2] != written[2] {
		t.Errorf("16777217 gives %v, the nearest number %v, %v", written, nearest, err)
	}
	for _, value := range []float64{1e308, -3.5e38} {
		if _, err := score(value); err == nil || !strings.Contains(err.Error(), ", row 2: ") || !strings.Contains(err.Error(), "is beyond what the model's input holds, FP32") {
			t.Errorf("%v: %v", value, err)
		}
		if !Overflows(value) {
			t.Errorf("%v fits FP32", value)
		}
	}
	for _, value := range []float64{math.MaxFloat32, math.Inf(1), math.NaN(), 0.1, 1e-300} {
		if Overflows(value) {
			t.Errorf("%v is beyond FP32", value)
		}
	}
}
