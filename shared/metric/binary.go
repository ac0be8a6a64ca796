package metric

import (
	"errors"
	"fmt"
	"math"
	"strings"

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
	// Positive reports whether the row's label is the last class.
	Positive []bool
	// Score is the probability of the last class.
	Score []float64
	// Weight of each row, at least 0; nil where each weighs 1. A row of weight 0
	// counts as absent.
	Weight []float64
	Eps    Eps

	order []int32 // by score, nil where it is not known yet
}

var errNoRows = errors.New("there are no rows")

// Rows is the number of rows.
func (b Binary) Rows() int { return len(b.Score) }

// Pick returns the answers for some of the rows.
func (b Binary) Pick(rows []int32) Answers {
	return Binary{Positive: pick(b.Positive, rows), Score: pick(b.Score, rows), Weight: pick(b.Weight, rows), Eps: b.Eps}
}

// Sorted returns the answers with the order of their scores, so that measuring
// several metrics sorts once.
func (b Binary) Sorted() Answers {
	if b.order == nil {
		b.order = b.ascending()
	}
	return b
}

// Measure measures one of the metrics of a binary classification.
func (b Binary) Measure(name string) (Estimate, error) { return finite(b.measure(name)) }

func (b Binary) measure(name string) (Estimate, error) {
	r := newRows(len(b.Score), b.Weight)
	if r.some == 0 {
		return Estimate{}, fmt.Errorf("%s has no value: %w", name, errNoRows)
	}
	switch name {
	case config.MetricROCAUC:
		return b.rocAUC(r)
	case config.MetricGini:
		e, err := b.rocAUC(r)
		if err != nil {
			return e, rename(err, config.MetricROCAUC, name)
		}
		return e.linear(name, 2, -1), nil
	case config.MetricKS:
		return b.ks(r)
	case config.MetricPRAUC:
		return b.prAUC(r)
	case config.MetricLogLoss:
		return b.mean(r, name, func(positive bool, p float64) float64 {
			if !positive {
				p = 1 - p
			}
			return -math.Log(b.Eps.clip(p))
		}), nil
	case config.MetricBrier:
		return b.mean(r, name, func(positive bool, p float64) float64 {
			d := p - indicator(positive)
			return d * d
		}), nil
	case config.MetricECE:
		return b.equalWidthECE(r), nil
	case config.MetricECEEqualCount:
		return b.equalCountECE(r), nil
	case config.MetricAccuracy:
		return r.share(name, b.right(func(bool) bool { return true }))
	case config.MetricRecall:
		return r.share(name, b.right(func(positive bool) bool { return positive }))
	case config.MetricSpecificity:
		return r.share(name, b.right(func(positive bool) bool { return !positive }))
	}
	if f := confusionMetric(name, 1); f != nil {
		return b.counted(r, name, f)
	}
	return Estimate{}, fmt.Errorf("%s is not a metric of a binary classification", name)
}

// counted measures a metric of the confusion table.
func (b Binary) counted(r rows, name string, f func(*confusion) (float64, error)) (Estimate, error) {
	c := newConfusion(2)
	classes := func(row int) (label, predicted int32) {
		return int32(indicator(b.Positive[row])), int32(indicator(b.Score[row] > 0.5))
	}
	for i := range b.Score {
		label, predicted := classes(i)
		c.add(label, predicted, r.weight(i))
	}
	e, err := c.measure(name, f, r, classes)
	e.Note = c.emptyNote(name, 1)
	return e, err
}

// right tells which rows are predicted rightly, among those whose label counts.
func (b Binary) right(counts func(positive bool) bool) []int8 {
	right := make([]int8, len(b.Score))
	for i, p := range b.Score {
		switch positive := b.Positive[i]; {
		case !counts(positive):
			right[i] = absent
		case positive == (p > 0.5):
			right[i] = 1
		}
	}
	return right
}

func (b Binary) mean(r rows, name string, loss func(positive bool, p float64) float64) Estimate {
	losses := make([]float64, len(b.Score))
	for i, p := range b.Score {
		losses[i] = loss(b.Positive[i], p)
	}
	return r.mean(name, losses)
}

// linear returns the estimate of factor*value + offset.
func (e Estimate) linear(name string, factor, offset float64) Estimate {
	for i := range e.influence {
		e.influence[i] *= factor
	}
	e.Name, e.Value = name, factor*e.Value+offset
	return e
}

func rename(err error, from, to string) error {
	return errors.New(strings.Replace(err.Error(), from, to, 1))
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
