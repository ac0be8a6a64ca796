package metric

import (
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
)

// Answers are what one model answered for rows whose labels are known. It is a
// Binary, a Multiclass or a Regression.
type Answers interface {
	// Rows is the number of rows.
	Rows() int
	// Measure measures one of the task's metrics. The error says why the
	// metric has no value for these rows.
	Measure(name string) (Estimate, error)
	// Pick returns the answers for some of the rows.
	Pick(rows []int32) Answers
	// Sorted returns the same answers, ready to measure several metrics.
	Sorted() Answers
}

// Estimate is one measured metric.
type Estimate struct {
	Name  string
	Value float64
	// Note says what a reader must know about the value, "" for nothing.
	Note string
	rows int
	// influence of each row, scaled so that the variance of Value is the sum
	// of squares over n²; nil where it is not known.
	influence []float64
	// right has 1 for a row that counts and is right, 0 for one that counts and
	// is wrong, and absent; nil for a metric that is not a share of rows.
	right []int8
}

// absent marks a row that a share does not count.
const absent int8 = -1

// StdErr returns the standard error of the value, NaN where it is not known.
func (e Estimate) StdErr() float64 {
	if e.influence == nil {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range e.influence {
		sum += v * v
	}
	return math.Sqrt(sum) / float64(max(1, len(e.influence)))
}

// Interval bounds the value from both sides at that confidence (0.95), within
// the metric's limits.
func (e Estimate) Interval(confidence float64) (low, high float64) {
	return Interval(e.Name, e.Value, e.StdErr(), confidence)
}

// Interval bounds a metric's value whose standard error is known.
func Interval(name string, value, stdErr, confidence float64) (low, high float64) {
	d := math.Sqrt2 * math.Erfinv(confidence) * stdErr
	least, most := limits(name)
	return max(least, value-d), min(most, value+d)
}

// limits are the least and the largest value that a metric can have.
func limits(name string) (least, most float64) {
	switch name {
	case config.MetricLogLoss, config.MetricRMSE, config.MetricMSE, config.MetricMAE, config.MetricMAPE, config.MetricMedianAE, config.MetricMaxError,
		config.MetricRMSLE, config.MetricPoissonDeviance, config.MetricPinball10, config.MetricPinball50, config.MetricPinball90:
		return 0, math.Inf(1)
	case config.MetricR2, config.MetricExplainedVariance:
		return math.Inf(-1), 1
	case config.MetricMCC, config.MetricKappa, config.MetricKappaQuadratic, config.MetricGini:
		return -1, 1
	case config.MetricMeanError:
		return math.Inf(-1), math.Inf(1)
	case config.MetricBrier:
		return 0, 2
	}
	return 0, 1
}

// rows are the rows of a measurement: how many, and what each weighs.
type rows struct {
	n       int
	weights []float64 // nil where each row weighs 1
	total   float64
	some    int // rows that weigh more than 0
}

func newRows(n int, weights []float64) rows {
	r := rows{n: n, weights: weights, total: float64(n), some: n}
	if !slices.ContainsFunc(weights, func(w float64) bool { return w != 1 }) {
		r.weights = nil
	} else {
		r.total, r.some = total(weights), 0
		for _, w := range weights {
			if w > 0 {
				r.some++
			}
		}
	}
	return r
}

func (r rows) weight(i int) float64 {
	if r.weights == nil {
		return 1
	}
	return r.weights[i]
}

// average is the weighted mean, summed with compensation: ten million small
// terms must not lose digits.
func (r rows) average(v []float64) float64 {
	var s sum
	for i, x := range v {
		if w := r.weight(i); w > 0 {
			s.add(w * x)
		}
	}
	return s.value() / r.total
}

// mean is the estimate of a metric that is the mean of a loss over rows. It
// takes over losses.
func (r rows) mean(name string, losses []float64) Estimate {
	m := r.average(losses)
	for i := range losses {
		losses[i] -= m
	}
	return r.estimate(name, m, losses)
}

// estimate corrects the raw influences for having been taken around a value
// that the same rows gave, and weighs them. It takes over influence.
func (r rows) estimate(name string, value float64, influence []float64) Estimate {
	c := 1.0
	if r.some > 1 {
		c = math.Sqrt(float64(r.some) / float64(r.some-1))
	}
	for i := range influence {
		if r.weights == nil {
			influence[i] *= c
		} else if w := r.weights[i]; w > 0 {
			influence[i] *= c * w * float64(r.n) / r.total
		} else {
			influence[i] = 0
		}
	}
	return Estimate{Name: name, Value: value, rows: r.n, influence: influence}
}

// share is the estimate of a share of rows. right is as in Estimate.
func (r rows) share(name string, right []int8) (Estimate, error) {
	hits, of := 0.0, 0.0
	for i, v := range right {
		if v != absent {
			of += r.weight(i)
			hits += r.weight(i) * float64(v)
		}
	}
	influence := make([]float64, r.n)
	if of == 0 {
		return Estimate{Name: name, rows: r.n, influence: influence, right: right, Note: "no row has the class"}, nil
	}
	value := hits / of
	for i, v := range right {
		if v != absent {
			influence[i] = (float64(v) - value) * r.total / of
		}
	}
	e := r.estimate(name, value, influence)
	if r.weights == nil {
		e.right = right
	}
	return e, nil
}

// finite refuses what no float64 holds: the squares of very large answers. An
// error of the value that is too large is left out, and the value stays.
func finite(e Estimate, err error) (Estimate, error) {
	if err != nil {
		return Estimate{}, err
	}
	if math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
		return Estimate{}, fmt.Errorf("%s has no value: it is too large for a number", e.Name)
	}
	if v := e.StdErr(); e.influence != nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		e.influence = nil
	}
	return e, nil
}

// sum adds up with Neumaier's compensation.
type sum struct{ total, rest float64 }

func (s *sum) add(x float64) {
	t := s.total + x
	if math.Abs(s.total) >= math.Abs(x) {
		s.rest += (s.total - t) + x
	} else {
		s.rest += (x - t) + s.total
	}
	s.total = t
}

func (s *sum) value() float64 { return s.total + s.rest }

// pick returns the elements of v at rows.
func pick[T any](v []T, rows []int32) []T {
	if v == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = v[r]
	}
	return out
}
