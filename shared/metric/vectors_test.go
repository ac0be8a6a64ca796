package metric_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/shared/metric"
)

// The vectors are made by testdata/vectors.py from scikit-learn, SciPy and
// statsmodels of the versions that it names.
func vectors[T any](t *testing.T, file string) T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var of struct{ Cases T }
	if err := json.Unmarshal(raw, &of); err != nil {
		t.Fatal(err)
	}
	return of.Cases
}

// draw returns n numbers in [0, 1) of SplitMix64, as u in vectors.py.
func draw(seed uint64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		seed += 0x9E3779B97F4A7C15
		z := seed
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		out[i] = float64((z^z>>31)>>11) / (1 << 53)
	}
	return out
}

type drawn struct {
	Kind, W              string
	N, K, Labels         int
	A, B                 float64
	Scale, Offset, Noise float64
	Seed                 uint64
}

func (d drawn) weights() []float64 {
	w := draw(d.Seed+2, d.N)
	for i := range w {
		switch d.W {
		case "ones":
			w[i] = 1
		case "counts":
			w[i] = math.Floor(w[i] * 4)
		}
	}
	return w
}

func (d drawn) binary(t *testing.T) (positive []bool, score []float64) {
	t.Helper()
	score = draw(d.Seed, d.N)
	label := draw(d.Seed+1, d.N)
	for i, s := range score {
		switch d.Kind {
		case "u":
		case "round2":
			s = math.Floor(s*100) / 100
		case "round1":
			s = math.Floor(s*10) / 10
		case "const":
			s = 0.5
		case "square":
			s *= s
		case "corners":
			s = math.Floor(s*3) / 2
		default:
			t.Fatalf("unknown kind %s", d.Kind)
		}
		score[i] = s
		positive = append(positive, label[i] < s*d.A+d.B)
	}
	return positive, score
}

func (d drawn) multiclass() (label []int, rows [][]float64) {
	columns := make([][]float64, d.K)
	for c := range columns {
		columns[c] = draw(d.Seed+3+uint64(c), d.N)
	}
	at := draw(d.Seed, d.N)
	for i := range d.N {
		p, all := make([]float64, d.K), 0.0
		for c := range p {
			v := columns[c][i]
			p[c] = (v * v) * (v * v)
			all += p[c]
		}
		y, reached := 0, 0.0
		for c := range p {
			p[c] /= all
			if reached += p[c]; at[i] >= reached {
				y++
			}
		}
		if y = min(y, d.K-1); y >= d.Labels {
			y = 0
		}
		label, rows = append(label, y), append(rows, p)
	}
	return label, rows
}

// vector is a case of metrics.json.
type vector struct {
	Name, Task string
	Draw       *drawn
	Y, W       []float64
	P          json.RawMessage
	Want       map[string]any
}

func (v vector) answers(t *testing.T) metric.Answers {
	t.Helper()
	weights := v.W
	if v.Draw != nil {
		weights = v.Draw.weights()
	}
	switch v.Task {
	case "binary":
		b := metric.Binary{Weight: weights, Eps: metric.Eps64}
		if v.Draw != nil {
			b.Positive, b.Score = v.Draw.binary(t)
			return b
		}
		decode(t, v.P, &b.Score)
		for _, y := range v.Y {
			b.Positive = append(b.Positive, y == 1)
		}
		return b
	case "multiclass":
		var label []int
		var rows [][]float64
		if v.Draw != nil {
			label, rows = v.Draw.multiclass()
		} else {
			decode(t, v.P, &rows)
			for _, y := range v.Y {
				label = append(label, int(y))
			}
		}
		m := metric.Multiclass{Weight: weights, Eps: metric.Eps64, Classes: len(rows[0])}
		for i, p := range rows {
			best := 0
			for c := range p {
				if p[c] > p[best] {
					best = c
				}
			}
			m.Label, m.Predicted, m.OfLabel = append(m.Label, int32(label[i])), append(m.Predicted, int32(best)), append(m.OfLabel, p[label[i]])
			m.Probabilities = append(m.Probabilities, p...)
		}
		return m
	}
	r := metric.Regression{Label: v.Y, Weight: weights}
	if v.Draw == nil {
		decode(t, v.P, &r.Predicted)
		return r
	}
	r.Label = draw(v.Draw.Seed, v.Draw.N)
	for i, u := range draw(v.Draw.Seed+1, v.Draw.N) {
		r.Label[i] = r.Label[i]*v.Draw.Scale + v.Draw.Offset
		r.Predicted = append(r.Predicted, r.Label[i]+(u-0.5)*v.Draw.Noise)
	}
	return r
}

func decode(t *testing.T, raw json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// named maps the names of the vectors to ours, "" for metrics that we do not have.
func named(name string) string {
	switch name {
	case "ece_15_equal_width":
		return config.MetricECE
	case "ece_10_equal_count":
		return config.MetricECEEqualCount
	case "top2_accuracy":
		return config.MetricTop2Accuracy
	case "confusion", "pr_auc_trapezoid", "best_f1", "best_balanced_accuracy", "roc_auc_ovr_per_class":
		return ""
	}
	return name
}

func TestMetricsOfTheVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[[]vector](t, "metrics.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			a := v.answers(t)
			weighted := strings.Contains(v.Name, "counts") || strings.Contains(v.Name, "real") || strings.Contains(v.Name, "weight")
			for name, want := range v.Want {
				if named(name) == "" || weighted && name == "ece_10_equal_count" {
					continue
				}
				e, err := a.Measure(named(name))
				w, ok := want.(float64)
				switch {
				case !ok && err == nil && name == "roc_auc_ovo_macro":
					// scikit-learn has no weighted form.
				case !ok && err == nil:
					t.Errorf("%s is %v, and has no value in the reference", name, e.Value)
				case ok && err != nil:
					t.Errorf("%s: %v; the reference says %v", name, err, w)
				case ok && math.Abs(e.Value-w) > 1e-9*max(1, math.Abs(w)):
					t.Errorf("%s is %.15g, the reference says %.15g", name, e.Value, w)
				}
			}
		})
	}
}

func TestPairedVectors(t *testing.T) {
	t.Parallel()
	cases := vectors[struct {
		DeLong []struct {
			Draw       drawn
			AUC        []float64
			StdErr     float64 `json:"std_err"`
			Difference float64
		}
		McNemar []struct {
			B, C  int
			Exact float64
			Mid   float64 `json:"mid_p"`
		}
		Tango []struct {
			B, C, N  int
			Margin   float64
			Z        float64
			Interval []float64 `json:"interval_95"`
			P        float64   `json:"p_not_worse"`
		}
		IJ []struct {
			Draw   drawn
			Metric string
			Value  float64
			StdErr float64 `json:"std_err_no_correction"`
		}
	}](t, "paired.json")
	close := func(t *testing.T, what string, got, want, tolerance float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
			t.Errorf("%s is %.15g, the reference says %.15g", what, got, want)
		}
	}
	for _, c := range cases.DeLong {
		positive, score := c.Draw.binary(t)
		second := draw(c.Draw.Seed+5, c.Draw.N)
		for i, s := range score {
			second[i] = math.Floor((s*0.7+second[i]*0.3)*50) / 50
		}
		a, b := measure(t, metric.Binary{Positive: positive, Score: score}, "roc_auc"), measure(t, metric.Binary{Positive: positive, Score: second}, "roc_auc")
		g := metric.Compare(a, b, nil)
		close(t, "auc", a.Value, c.AUC[0], 1e-9)
		close(t, "difference", g.Value, c.Difference, 1e-9)
		close(t, "standard error", g.StdErr, c.StdErr, 1e-9)
	}
	for _, c := range cases.McNemar {
		exact, mid := metric.Discordant{Better: c.B, Worse: c.C, Of: c.B + c.C}.McNemar()
		close(t, fmt.Sprintf("McNemar's p of %d, %d", c.B, c.C), exact, c.Exact, 1e-9)
		close(t, fmt.Sprintf("mid-p of %d, %d", c.B, c.C), mid, c.Mid, 1e-9)
	}
	for _, c := range cases.Tango {
		d := metric.Discordant{Better: c.B, Worse: c.C, Of: c.N}
		close(t, fmt.Sprintf("z of %+v", c), d.Tango(-c.Margin), c.Z, 1e-9)
		low, high := d.Interval(0.95)
		close(t, fmt.Sprintf("low of %+v", c), low, c.Interval[0], 1e-9)
		close(t, fmt.Sprintf("high of %+v", c), high, c.Interval[1], 1e-9)
	}
	for _, c := range cases.IJ {
		positive, score := c.Draw.binary(t)
		e := measure(t, metric.Binary{Positive: positive, Score: score, Eps: metric.Eps64}, c.Metric)
		n := float64(len(score))
		want := c.StdErr * math.Sqrt(n/(n-1))
		if c.Metric == "roc_auc" {
			continue // each class has its own correction there: DeLong's
		}
		close(t, c.Metric, e.Value, c.Value, 1e-9)
		close(t, "standard error of "+c.Metric, e.StdErr(), want, 1e-6)
	}
}

func TestAdjustedVectors(t *testing.T) {
	t.Parallel()
	for _, c := range vectors[[]struct{ P, Holm, BH, BY []float64 }](t, "multiple.json") {
		for _, of := range []struct {
			name      string
			got, want []float64
		}{
			{"Holm", metric.Holm(c.P), c.Holm},
			{"Benjamini-Hochberg", metric.BenjaminiHochberg(c.P), c.BH},
			{"Benjamini-Yekutieli", metric.BenjaminiYekutieli(c.P), c.BY},
		} {
			for i := range of.want {
				if math.Abs(of.got[i]-of.want[i]) > 1e-12 {
					t.Errorf("%s of %v: %v, statsmodels says %v", of.name, c.P, of.got, of.want)
					break
				}
			}
		}
	}
}
