package metric_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/shared/metric"
)

// reference is one case of testdata/reference.py.
type reference struct {
	Name, Task         string
	Label              []float64
	A, B               json.RawMessage
	MetricsA, MetricsB map[string]float64
	StdErrA            map[string]float64
	StdErrDifference   map[string]float64
}

func references(t *testing.T) []reference {
	t.Helper()
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []reference
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// answers makes the case's answers of raw, as NumPy's float64 had them.
func (r reference) answers(t *testing.T, raw json.RawMessage) metric.Answers {
	t.Helper()
	var flat []float64
	var rows [][]float64
	if r.Task == "multiclass" {
		if err := json.Unmarshal(raw, &rows); err != nil {
			t.Fatal(err)
		}
		m := metric.Multiclass{Eps: metric.Eps64}
		for i, p := range rows {
			label, best := int32(r.Label[i]), 0
			for k := range p {
				if p[k] > p[best] {
					best = k
				}
			}
			m.Label, m.Predicted, m.OfLabel = append(m.Label, label), append(m.Predicted, int32(best)), append(m.OfLabel, p[label])
		}
		return m
	}
	if err := json.Unmarshal(raw, &flat); err != nil {
		t.Fatal(err)
	}
	if r.Task == "regression" {
		return metric.Regression{Label: r.Label, Predicted: flat}
	}
	b := metric.Binary{Score: flat, Eps: metric.Eps64}
	for _, y := range r.Label {
		b.Positive = append(b.Positive, y == 1)
	}
	return b
}

func measure(t *testing.T, a metric.Answers, name string) metric.Estimate {
	t.Helper()
	e, err := a.Measure(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func near(got, want float64) bool {
	return math.Abs(got-want) <= 1e-12*max(1, math.Abs(want))
}

func TestMetricsAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	for _, r := range references(t) {
		t.Run(r.Name, func(t *testing.T) {
			a := r.answers(t, r.A)
			for name, want := range r.MetricsA {
				if got := measure(t, a, name); !near(got.Value, want) {
					t.Errorf("%s is %.17g, scikit-learn says %.17g", name, got.Value, want)
				}
			}
			if r.B == nil {
				return
			}
			b := r.answers(t, r.B)
			for name, want := range r.MetricsB {
				if got := measure(t, b, name); !near(got.Value, want) {
					t.Errorf("%s of b is %.17g, scikit-learn says %.17g", name, got.Value, want)
				}
			}
		})
	}
}

// The bootstrap of 4,000 resamples knows a standard error to about 1 %, and
// the linear approximation is off by a few per cent at so few rows. DeLong's
// formula is met exactly.
func TestStandardErrorsAreThoseOfDeLongAndTheBootstrap(t *testing.T) {
	t.Parallel()
	for _, r := range references(t) {
		if r.B == nil {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			a, b := r.answers(t, r.A), r.answers(t, r.B)
			for name, want := range r.StdErrA {
				ea, eb := measure(t, a, name), measure(t, b, name)
				tolerance := 0.06
				if name == config.MetricROCAUC {
					tolerance = 1e-9
				}
				if got := ea.StdErr(); math.Abs(got/want-1) > tolerance {
					t.Errorf("standard error of %s is %g, want %g (%.1f %% off)", name, got, want, 100*(got/want-1))
				}
				got, want := metric.Compare(ea, eb, nil).StdErr, r.StdErrDifference[name]
				if math.Abs(got/want-1) > tolerance {
					t.Errorf("standard error of the difference in %s is %g, want %g (%.1f %% off)", name, got, want, 100*(got/want-1))
				}
			}
		})
	}
}

func TestGainPointsToTheBetterModel(t *testing.T) {
	t.Parallel()
	good := metric.Regression{Label: []float64{1, 2, 3, 4}, Predicted: []float64{1, 2, 3, 5}}
	bad := metric.Regression{Label: good.Label, Predicted: []float64{3, 0.1, 3, 1}}
	for _, name := range config.Metrics(config.TaskRegression) {
		if name == config.MetricMeanError {
			continue // neither side of it is better
		}
		g := metric.Compare(measure(t, good, name), measure(t, bad, name), nil)
		if g.Value <= 0 {
			t.Errorf("gain in %s is %g; the model is the better one", name, g.Value)
		}
		if c := g.NotWorseBy(0, 0.95); c.Outcome != metric.Undecided {
			t.Errorf("four rows decide that the gain in %s is %s", name, c.Outcome)
		}
	}
}

func TestAModelGainsNothingOverItself(t *testing.T) {
	t.Parallel()
	b := random(500, 1)
	for _, name := range config.Metrics(config.TaskBinary) {
		e := measure(t, b, name)
		if g := metric.Compare(e, e, nil); g.Value != 0 || g.StdErr != 0 || g.Exact == nil && g.NotWorseBy(0, 0.95).Outcome != metric.NotWorse {
			t.Errorf("%s: gain %+v", name, g)
		}
	}
}

func TestIntervalsStayWithinTheMetric(t *testing.T) {
	t.Parallel()
	b := metric.Binary{Positive: []bool{true, false, true, false, true}, Score: []float64{0.9, 0.2, 0.4, 0.45, 0.8}}
	for _, name := range config.Metrics(config.TaskBinary) {
		e := measure(t, b, name)
		low, high := e.Interval(0.999)
		least, most := 0.0, 1.0
		switch name {
		case config.MetricLogLoss:
			most = math.Inf(1)
		case config.MetricBrier:
			most = 2
		case config.MetricMCC, config.MetricKappa, config.MetricGini:
			least = -1
		}
		if low > e.Value || high < e.Value || low < least || high > most {
			t.Errorf("%s %g is between %g and %g", name, e.Value, low, high)
		}
	}
}

func TestWhatHasNoValueSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answers metric.Answers
		name    string
		want    string
	}{
		{metric.Binary{Positive: []bool{true, true}, Score: []float64{0.1, 0.2}}, config.MetricROCAUC, "all 2 rows are of one class"},
		{metric.Binary{Positive: []bool{false}, Score: []float64{0.1}}, config.MetricPRAUC, "none of the 1 rows"},
		{metric.Binary{}, config.MetricAccuracy, "no rows"},
		{metric.Binary{Positive: []bool{false}, Score: []float64{0.1}}, config.MetricRMSE, "not a metric of a binary"},
		{metric.Multiclass{}, config.MetricMacroF1, "no rows"},
		{metric.Multiclass{Label: []int32{1}, Predicted: []int32{0}}, config.MetricLogLoss, "is not known"},
		{metric.Regression{Label: []float64{1}, Predicted: []float64{1}}, config.MetricR2, "at least two rows"},
		{metric.Regression{Label: []float64{1, 2}, Predicted: []float64{1e200, 1}}, config.MetricRMSE, "too large for a number"},
		{metric.Regression{Label: []float64{1}, Predicted: []float64{1}}, config.MetricF1, "not a metric of a regression"},
	} {
		if _, err := c.answers.Measure(c.name); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %+v: %v, want %q", c.name, c.answers, err, c.want)
		}
	}
}

// FP32 answers of exactly 0 and 1 count as if they were half a step off, as
// scikit-learn has it for arrays of float32.
func TestLogLossClipsAtThePrecisionOfTheAnswers(t *testing.T) {
	t.Parallel()
	b := metric.Binary{Positive: []bool{true}, Score: []float64{0}}
	for eps, want := range map[metric.Eps]float64{0: 15.942385152878742, metric.Eps32: 15.942385152878742, metric.Eps64: 36.04365338911715} {
		b.Eps = eps
		if got := measure(t, b, config.MetricLogLoss).Value; !near(got, want) {
			t.Errorf("eps %g: log_loss %v, want %v", eps, got, want)
		}
	}
}

// Many rows are sorted by digits, few by comparison: both are the same order.
func TestManyRowsMeasureLikeFew(t *testing.T) {
	t.Parallel()
	few := random(1000, 2)
	for i := range few.Score {
		few.Score[i] -= 0.3 // negative scores, and both zeros
	}
	few.Score[0], few.Score[1] = 0, math.Copysign(0, -1)
	const times = 20
	var many metric.Binary
	for range times {
		many.Positive, many.Score = append(many.Positive, few.Positive...), append(many.Score, few.Score...)
	}
	for _, name := range []string{config.MetricROCAUC, config.MetricPRAUC} {
		a, b := measure(t, few, name), measure(t, many, name)
		if !near(a.Value, b.Value) {
			t.Errorf("%s is %g, of the same rows %d times %g", name, a.Value, times, b.Value)
		}
		if ratio := a.StdErr() / b.StdErr() / math.Sqrt(times); math.Abs(ratio-1) > 0.01 {
			t.Errorf("standard error of %s: %g and %g", name, a.StdErr(), b.StdErr())
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	b := random(100, 3)
	rows := []int32{5, 50, 99, 7}
	picked := b.Pick(rows).(metric.Binary)
	for i, r := range rows {
		if picked.Score[i] != b.Score[r] || picked.Positive[i] != b.Positive[r] {
			t.Errorf("row %d is not row %d", i, r)
		}
	}
}

// random are answers with FP32 scores.
func random(n int, seed uint64) metric.Binary {
	rng := rand.New(rand.NewPCG(seed, seed))
	var b metric.Binary
	for range n {
		positive := rng.Float64() < 0.3
		z := rng.NormFloat64() - 1
		if positive {
			z += 1.2
		}
		b.Positive = append(b.Positive, positive)
		b.Score = append(b.Score, float64(float32(1/(1+math.Exp(-z)))))
	}
	return b
}

func BenchmarkMeasure(b *testing.B) {
	answers := random(1_000_000, 4)
	for _, name := range config.Metrics(config.TaskBinary) {
		b.Run(fmt.Sprintf("%s/1M", name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := answers.Measure(name)
				if err != nil {
					b.Fatal(err)
				}
				e.Interval(0.95)
			}
		})
	}
}
