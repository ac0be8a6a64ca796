package evaluate

import (
	"context"
	"math"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/shared/metric"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// answers are what one model answered for the rows of a hold-out that have a
// label.
type answers struct {
	contender *contender
	number    []int32   // of each of the model's classes, as the hold-out numbers them
	column    []int     // of each of the hold-out's classes, in the model's answers; -1 if it knows it not
	scores    []float64 // binary: of the positive class; multiclass: of the label; regression: the value
	predicted []int32   // multiclass
	odd       int64     // rows answered with what is no number

	// Of the current batch.
	batch onnx.Batch
	out   onnx.Scores
	names []string  // the predicted class
	shown []float64 // the score as the prediction log has it
}

func newAnswers(c *contender, task string, rows int) *answers {
	a := &answers{contender: c, scores: make([]float64, 0, rows)}
	if task == config.TaskMulticlass {
		a.predicted = make([]int32, 0, rows)
	}
	return a
}

// answerLike settles how the model's classes go with those of the hold-out,
// which are the candidate's.
func (a *answers) answerLike(h *holdout, classes []string) error {
	own := a.contender.contract.Classes
	if h.task == config.TaskBinary {
		for _, class := range classes {
			at := slices.Index(own, class)
			if at < 0 {
				return refuse("its classes are %s, not %s", strings.Join(own, ", "), strings.Join(classes, ", "))
			}
			a.column = append(a.column, at)
		}
		return nil
	}
	for i, class := range own {
		n := h.class(class)
		a.number = append(a.number, n)
		for len(a.column) <= int(n) {
			a.column = append(a.column, -1)
		}
		a.column[n] = i
	}
	return nil
}

// score runs the model over a batch and keeps what it says of the kept rows.
func (a *answers) score(ctx context.Context, h *holdout, b *table.Batch) error {
	a.batch.Rows, a.batch.Columns = b.Rows, a.batch.Columns[:0]
	for _, f := range a.contender.contract.Features {
		v := b.Column(f.Name)
		a.batch.Columns = append(a.batch.Columns, onnx.Column{
			Name: f.Name, Strings: v.Strings, Ints: v.Ints, Floats: v.Floats, Bools: v.Bools, Nulls: v.Nulls,
		})
	}
	if err := a.contender.model.Score(ctx, &a.batch, &a.out); err != nil {
		return err
	}
	a.names, a.shown = a.names[:0], a.shown[:0]
	for row := range b.Rows {
		values := a.out.Row(row)
		if slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
			a.odd++
		}
		a.show(h.task, values)
	}
	first := h.rows() - len(h.kept)
	for i, row := range h.kept {
		values := a.out.Row(int(row))
		switch h.task {
		case config.TaskBinary:
			a.scores = append(a.scores, values[a.column[1]])
		case config.TaskMulticlass:
			a.predicted = append(a.predicted, a.number[argmax(values)])
			a.scores = append(a.scores, a.ofLabel(values, h.label[first+i]))
		default:
			a.scores = append(a.scores, values[0])
		}
	}
	return nil
}

// show notes what the prediction log would say of a row.
func (a *answers) show(task string, values []float64) {
	switch task {
	case config.TaskBinary:
		a.names = append(a.names, a.contender.contract.Classes[argmax(values)])
		a.shown = append(a.shown, values[len(values)-1])
	case config.TaskMulticlass:
		best := argmax(values)
		a.names = append(a.names, a.contender.contract.Classes[best])
		a.shown = append(a.shown, values[best])
	default:
		a.shown = append(a.shown, values[0])
	}
}

// ofLabel is the probability that the model gave to the label.
func (a *answers) ofLabel(values []float64, label int32) float64 {
	if int(label) >= len(a.column) || a.column[label] < 0 {
		return 0
	}
	return values[a.column[label]]
}

func argmax(values []float64) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// measurable are the answers beside the labels.
func (a *answers) measurable(h *holdout) metric.Answers {
	switch eps := a.contender.eps(); h.task {
	case config.TaskBinary:
		return metric.Binary{Positive: h.positive, Score: a.scores, Eps: eps}
	case config.TaskMulticlass:
		return metric.Multiclass{Label: h.label, Predicted: a.predicted, OfLabel: a.scores, Eps: eps}
	}
	return metric.Regression{Label: h.value, Predicted: a.scores}
}
