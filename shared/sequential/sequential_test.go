package sequential_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"millrace.dev/shared/sequential"
)

// vectors.json is made by shared/metric/testdata/vectors.py, from formulas of
// its own that were checked by simulation.
type vectors struct {
	Cases struct {
		TwoArm []struct {
			Batches [][4]float64 `json:"batches_failed_champion_of_failed_canary_of"`
			Margin  float64
			Prior   [2]float64
			LogE    []float64 `json:"log_e"`
		} `json:"two_arm"`
		Safe []struct {
			Batches [][4]float64
			Margin  float64
			Prior   [2]float64
			LogE    []float64 `json:"log_e"`
		}
		Share []struct {
			Failed, Of, Bound float64
			Planned           int64
			Worse             float64 `json:"log_e_worse"`
			Safe              float64 `json:"log_e_safe"`
		}
	}
}

func load(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/sequential.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))) {
		t.Errorf("%s is %.15g, want %.15g", what, got, want)
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	v := load(t).Cases
	for _, c := range v.TwoArm {
		test := sequential.NewTwoArm(sequential.Base{Failed: c.Prior[0], Requests: c.Prior[1]})
		for i, b := range c.Batches {
			test.Add(sequential.Batch{ChampionFailed: b[0], Champion: b[1], CanaryFailed: b[2], Canary: b[3]}, c.Margin)
			near(t, "the evidence of two arms", test.LogE(), c.LogE[i])
		}
	}
	for _, c := range v.Safe {
		test := sequential.NewSafe(sequential.Base{Failed: c.Prior[0], Requests: c.Prior[1]})
		for i, b := range c.Batches {
			test.Add(sequential.Batch{ChampionFailed: b[0], Champion: b[1], CanaryFailed: b[2], Canary: b[3]}, c.Margin)
			near(t, "the evidence of safety", test.LogE(), c.LogE[i])
		}
	}
	for _, c := range v.Share {
		near(t, "the evidence above a bound", sequential.Exceeds(c.Failed, c.Of, c.Bound, c.Planned), c.Worse)
		near(t, "the evidence below a bound", sequential.Keeps(c.Failed, c.Of, c.Bound, c.Planned), c.Safe)
	}
}
