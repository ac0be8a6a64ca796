package metric

import (
	"errors"
	"fmt"
	"math"

	"millrace.dev/config"
)

// Eps is the least distance of a probability from 0 and 1 that log_loss knows:
// the precision of the numbers that the model answers with.
type Eps float64

// The precision of FP32 and FP64 answers.
const (
	Eps32 Eps = 0x1p-23
	Eps64 Eps = 0x1p-52
)

// clip is for log_loss. The zero Eps is Eps32: ONNX models answer in FP32.
func (e Eps) clip(p float64) float64 {
	if e == 0 {
		e = Eps32
	}
	return min(max(p, float64(e)), 1-float64(e))
}

// Binary are the answers of a binary classifier.
type Binary struct {
	// Positive tells whether the row's label is the last class.
	Positive []bool
	// Score is the probability of the last class.
	Score []float64
	Eps   Eps
}

var errNoRows = errors.New("there are no rows")

// Rows is the number of rows.
func (b Binary) Rows() int { return len(b.Score) }

// Pick gives the answers for some of the rows.
func (b Binary) Pick(rows []int32) Answers {
	return Binary{Positive: pick(b.Positive, rows), Score: pick(b.Score, rows), Eps: b.Eps}
}

// Measure measures one of the metrics of a binary classification.
func (b Binary) Measure(name string) (Estimate, error) { return finite(b.measure(name)) }

func (b Binary) measure(name string) (Estimate, error) {
	if b.Rows() == 0 {
		return Estimate{}, fmt.Errorf("%s has no value: %w", name, errNoRows)
	}
	switch name {
	case config.MetricROCAUC:
		return b.rocAUC()
	case config.MetricPRAUC:
		return b.prAUC()
	case config.MetricLogLoss:
		return b.mean(name, func(positive bool, p float64) float64 {
			if !positive {
				p = 1 - p
			}
			return -math.Log(b.Eps.clip(p))
		}), nil
	case config.MetricBrier:
		return b.mean(name, func(positive bool, p float64) float64 {
			d := p - indicator(positive)
			return d * d
		}), nil
	case config.MetricAccuracy:
		return b.mean(name, func(positive bool, p float64) float64 { return indicator(positive == (p > 0.5)) }), nil
	case config.MetricPrecision:
		return b.ratio(name, func(positive, predicted bool) (float64, float64) {
			return indicator(positive && predicted), indicator(predicted)
		}), nil
	case config.MetricRecall:
		return b.ratio(name, func(positive, predicted bool) (float64, float64) {
			return indicator(positive && predicted), indicator(positive)
		}), nil
	case config.MetricF1:
		return b.ratio(name, func(positive, predicted bool) (float64, float64) {
			return 2 * indicator(positive && predicted), indicator(positive) + indicator(predicted)
		}), nil
	}
	return Estimate{}, fmt.Errorf("%s is no metric of a binary classification", name)
}

func (b Binary) mean(name string, loss func(positive bool, p float64) float64) Estimate {
	losses := make([]float64, len(b.Score))
	for i, p := range b.Score {
		losses[i] = loss(b.Positive[i], p)
	}
	return mean(name, losses)
}

// ratio is the estimate of a metric that is a sum over rows by another one.
func (b Binary) ratio(name string, terms func(positive, predicted bool) (above, below float64)) Estimate {
	above, below := 0.0, 0.0
	for i, p := range b.Score {
		x, z := terms(b.Positive[i], p > 0.5)
		above, below = above+x, below+z
	}
	influence := make([]float64, len(b.Score))
	if below == 0 {
		return Estimate{Name: name, influence: influence}
	}
	value, perRow := above/below, below/float64(len(b.Score))
	for i, p := range b.Score {
		x, z := terms(b.Positive[i], p > 0.5)
		influence[i] = (x - value*z) / perRow
	}
	return estimate(name, value, influence)
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
