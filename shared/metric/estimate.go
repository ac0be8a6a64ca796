package metric

import (
	"fmt"
	"math"

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
	// Pick gives the answers for some of the rows.
	Pick(rows []int32) Answers
}

// Estimate is one measured metric.
type Estimate struct {
	Name  string
	Value float64
	// influence of each row, scaled so that the variance of Value is the sum
	// of squares over n².
	influence []float64
}

// StdErr is the standard error of the value.
func (e Estimate) StdErr() float64 {
	sum := 0.0
	for _, v := range e.influence {
		sum += v * v
	}
	return math.Sqrt(sum) / float64(max(1, len(e.influence)))
}

// Interval bounds the value from both sides at that confidence (0.95), within
// what the metric can be at all.
func (e Estimate) Interval(confidence float64) (low, high float64) {
	return Interval(e.Name, e.Value, e.StdErr(), confidence)
}

// Interval bounds a metric's value of which the standard error is known.
func Interval(name string, value, stdErr, confidence float64) (low, high float64) {
	d := math.Sqrt2 * math.Erfinv(confidence) * stdErr
	least, most := limits(name)
	return max(least, value-d), min(most, value+d)
}

// limits are the least and the largest value that a metric can have.
func limits(name string) (least, most float64) {
	switch name {
	case config.MetricLogLoss, config.MetricRMSE, config.MetricMAE, config.MetricMAPE:
		return 0, math.Inf(1)
	case config.MetricR2:
		return math.Inf(-1), 1
	}
	return 0, 1
}

// Gain is by how much one model is better than another on the same rows:
// positive is better, whichever way the metric points.
type Gain struct {
	Value  float64
	StdErr float64
}

// Compare gives the gain of a model over the one before. Both are estimates of
// the same metric on the same rows in the same order.
func Compare(model, before Estimate) Gain {
	sign := 1.0
	if config.LowerIsBetter(model.Name) {
		sign = -1
	}
	sum := 0.0
	for i, v := range model.influence {
		d := v - before.influence[i]
		sum += d * d
	}
	return Gain{
		Value:  sign * (model.Value - before.Value),
		StdErr: math.Sqrt(sum) / float64(max(1, len(model.influence))),
	}
}

// AtLeast is the bound above which the gain lies with that confidence,
// one-sided.
func (g Gain) AtLeast(confidence float64) float64 {
	return g.Value - math.Sqrt2*math.Erfinv(2*confidence-1)*g.StdErr
}

// mean is the estimate of a metric that is the mean of a loss over rows. It
// takes over losses.
func mean(name string, losses []float64) Estimate {
	m := average(losses)
	for i := range losses {
		losses[i] -= m
	}
	return estimate(name, m, losses)
}

// estimate corrects the raw influences for having been taken around a value
// that the same rows gave. It takes over influence.
func estimate(name string, value float64, influence []float64) Estimate {
	n := float64(len(influence))
	if n > 1 {
		c := math.Sqrt(n / (n - 1))
		for i := range influence {
			influence[i] *= c
		}
	}
	return Estimate{Name: name, Value: value, influence: influence}
}

// finite refuses what no float64 holds: the squares of very large answers.
func finite(e Estimate, err error) (Estimate, error) {
	if err != nil {
		return Estimate{}, err
	}
	if v := e.Value + e.StdErr(); math.IsNaN(v) || math.IsInf(v, 0) {
		return Estimate{}, fmt.Errorf("%s has no value: it is too large for a number", e.Name)
	}
	return e, nil
}

// average is the mean, summed with compensation: ten million small terms must
// not lose digits.
func average(v []float64) float64 {
	var s sum
	for _, x := range v {
		s.add(x)
	}
	return s.value() / float64(len(v))
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

// pick gives the elements of v at rows.
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
