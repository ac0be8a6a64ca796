package metric

import (
	"fmt"
	"math"

	"millrace.dev/config"
)

// Regression are the answers of a regression.
type Regression struct {
	Label, Predicted []float64
	// Weight of each row, at least 0; nil where each weighs 1. A row of weight 0
	// counts as absent.
	Weight []float64
}

// Rows is the number of rows.
func (r Regression) Rows() int { return len(r.Label) }

// Pick returns the answers for some of the rows.
func (r Regression) Pick(rows []int32) Answers {
	return Regression{Label: pick(r.Label, rows), Predicted: pick(r.Predicted, rows), Weight: pick(r.Weight, rows)}
}

// Sorted returns the answers themselves: no metric needs them in an order.
func (r Regression) Sorted() Answers { return r }

// Measure measures one of the metrics of a regression.
func (r Regression) Measure(name string) (Estimate, error) { return finite(r.measure(name)) }

func (r Regression) measure(name string) (Estimate, error) {
	rows := newRows(len(r.Label), r.Weight)
	if rows.some == 0 {
		return Estimate{}, fmt.Errorf("%s has no value: %w", name, errNoRows)
	}
	switch name {
	case config.MetricRMSE:
		return r.root(rows, name, r.losses(square)), nil
	case config.MetricR2:
		return r.r2(rows)
	case config.MetricExplainedVariance:
		return r.explainedVariance(rows)
	case config.MetricMedianAE:
		return Estimate{Name: name, Value: medianOf(r.losses(absolute), rows), rows: rows.n}, nil
	case config.MetricMaxError:
		return r.maxError(rows), nil
	case config.MetricRMSLE:
		for i, y := range r.Label {
			if rows.weight(i) > 0 && (y <= -1 || r.Predicted[i] <= -1) {
				return Estimate{}, fmt.Errorf("rmsle has no value: row %d has a label of %v and an answer of %v, and both must be above -1", i+1, y, r.Predicted[i])
			}
		}
		return r.root(rows, name, r.losses(func(y, p float64) float64 { return square(math.Log1p(y), math.Log1p(p)) })), nil
	case config.MetricPoissonDeviance:
		for i, y := range r.Label {
			if rows.weight(i) > 0 && (y < 0 || r.Predicted[i] <= 0) {
				return Estimate{}, fmt.Errorf("poisson_deviance has no value: row %d has a label of %v, which must be at least 0, and an answer of %v, which must be above 0", i+1, y, r.Predicted[i])
			}
		}
	}
	if loss, ok := regressionLosses[name]; ok {
		return rows.mean(name, r.losses(loss)), nil
	}
	return Estimate{}, fmt.Errorf("%s is not a metric of a regression", name)
}

// regressionLosses are the metrics that are a mean over rows.
var regressionLosses = map[string]func(label, predicted float64) float64{
	config.MetricMSE:       square,
	config.MetricMAE:       absolute,
	config.MetricMAPE:      func(y, p float64) float64 { return math.Abs(y-p) / max(math.Abs(y), float64(Eps64)) },
	config.MetricMeanError: func(y, p float64) float64 { return p - y },
	config.MetricPinball10: pinball(0.1),
	config.MetricPinball50: pinball(0.5),
	config.MetricPinball90: pinball(0.9),
	config.MetricPoissonDeviance: func(y, p float64) float64 {
		if y == 0 {
			return 2 * p
		}
		return 2 * (y*math.Log(y/p) - y + p)
	},
}

func square(y, p float64) float64   { return (y - p) * (y - p) }
func absolute(y, p float64) float64 { return math.Abs(y - p) }

// pinball is the loss of a quantile (Koenker and Bassett 1978).
func pinball(quantile float64) func(y, p float64) float64 {
	return func(y, p float64) float64 { return max(quantile*(y-p), (quantile-1)*(y-p)) }
}

func (r Regression) losses(loss func(label, predicted float64) float64) []float64 {
	losses := make([]float64, len(r.Label))
	for i, y := range r.Label {
		losses[i] = loss(y, r.Predicted[i])
	}
	return losses
}

// root is the square root of the mean of the losses.
func (r Regression) root(rows rows, name string, losses []float64) Estimate {
	mean := rows.average(losses)
	value := math.Sqrt(mean)
	for i, e := range losses {
		if value > 0 {
			losses[i] = (e - mean) / (2 * value)
		}
	}
	return rows.estimate(name, value, losses)
}

func (r Regression) maxError(rows rows) Estimate {
	e := Estimate{Name: config.MetricMaxError, rows: rows.n}
	for i, y := range r.Label {
		if rows.weight(i) > 0 {
			e.Value = max(e.Value, absolute(y, r.Predicted[i]))
		}
	}
	return e
}

// constant reports whether all labels are the same.
func (r Regression) constant(rows rows) bool {
	first := -1
	for i, y := range r.Label {
		if rows.weight(i) == 0 {
			continue
		}
		if first >= 0 && y != r.Label[first] {
			return false
		}
		first = i
	}
	return true
}

func (r Regression) r2(rows rows) (Estimate, error) {
	if rows.some < 2 {
		return Estimate{}, fmt.Errorf("r2 has no value: it needs at least two rows")
	}
	return r.explained(rows, config.MetricR2, r.losses(square))
}

func (r Regression) explainedVariance(rows rows) (Estimate, error) {
	if rows.some < 2 {
		return Estimate{}, fmt.Errorf("explained_variance has no value: it needs at least two rows")
	}
	errs := r.losses(func(y, p float64) float64 { return y - p })
	centre := rows.average(errs)
	for i, e := range errs {
		errs[i] = square(e, centre)
	}
	return r.explained(rows, config.MetricExplainedVariance, errs)
}

// explained is the share of the labels' variance that is not in the losses.
func (r Regression) explained(rows rows, name string, losses []float64) (Estimate, error) {
	loss, centre := rows.average(losses), rows.average(r.Label)
	if r.constant(rows) {
		return Estimate{Name: name, Value: indicator(loss == 0), rows: rows.n, influence: make([]float64, rows.n)}, nil
	}
	variance := rows.average(r.losses(func(y, _ float64) float64 { return square(y, centre) }))
	for i, e := range losses {
		losses[i] = (loss*square(r.Label[i], centre)/variance - e) / variance
	}
	return rows.estimate(name, 1-loss/variance, losses), nil
}
