package metric

import (
	"fmt"
	"math"

	"millrace.dev/config"
)

// Regression are the answers of a regression.
type Regression struct {
	Label, Predicted []float64
}

// Rows is the number of rows.
func (r Regression) Rows() int { return len(r.Label) }

// Pick gives the answers for some of the rows.
func (r Regression) Pick(rows []int32) Answers {
	return Regression{Label: pick(r.Label, rows), Predicted: pick(r.Predicted, rows)}
}

// Measure measures one of the metrics of a regression.
func (r Regression) Measure(name string) (Estimate, error) { return finite(r.measure(name)) }

func (r Regression) measure(name string) (Estimate, error) {
	if r.Rows() == 0 {
		return Estimate{}, fmt.Errorf("%s has no value: %w", name, errNoRows)
	}
	switch name {
	case config.MetricMAE:
		return mean(name, r.losses(func(y, p float64) float64 { return math.Abs(y - p) })), nil
	case config.MetricMAPE:
		return mean(name, r.losses(func(y, p float64) float64 { return math.Abs(y-p) / max(math.Abs(y), float64(Eps64)) })), nil
	case config.MetricRMSE:
		return r.rmse(), nil
	case config.MetricR2:
		return r.r2()
	}
	return Estimate{}, fmt.Errorf("%s is no metric of a regression", name)
}

func (r Regression) losses(loss func(label, predicted float64) float64) []float64 {
	losses := make([]float64, len(r.Label))
	for i, y := range r.Label {
		losses[i] = loss(y, r.Predicted[i])
	}
	return losses
}

func square(y, p float64) float64 { return (y - p) * (y - p) }

func (r Regression) rmse() Estimate {
	influence := r.losses(square)
	mse := average(influence)
	value := math.Sqrt(mse)
	for i, e := range influence {
		if value > 0 {
			influence[i] = (e - mse) / (2 * value)
		}
	}
	return estimate(config.MetricRMSE, value, influence)
}

func (r Regression) r2() (Estimate, error) {
	if r.Rows() < 2 {
		return Estimate{}, fmt.Errorf("r2 has no value: it needs at least two rows")
	}
	influence := r.losses(square)
	mse, centre := average(influence), average(r.Label)
	var s sum
	for _, y := range r.Label {
		s.add(square(y, centre))
	}
	variance := s.value() / float64(r.Rows())
	if variance == 0 {
		return Estimate{Name: config.MetricR2, Value: indicator(mse == 0), influence: make([]float64, r.Rows())}, nil
	}
	for i, e := range influence {
		influence[i] = (mse*square(r.Label[i], centre)/variance - e) / variance
	}
	return estimate(config.MetricR2, 1-mse/variance, influence), nil
}
