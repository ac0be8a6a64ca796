package evaluate

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/metric"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// answers are what one model answered for the rows of a hold-out that have a
// label.
type answers struct {
	contender *loadedModel
	number    []int32   // of each of the model's classes, as the hold-out numbers them
	column    []int     // of each of the hold-out's classes, in the model's answers; -1 if it does not have it
	scores    []float64 // binary: of the positive class; multiclass: of the label; regression: the value
	predicted []int32   // multiclass
	// probabilities has those of all the hold-out's classes of a row, one row
	// after the other; nil where no metric needs them. width is how many.
	probabilities []float64
	width         int
	odd           int64 // rows whose answer is not a number
	// rounded are the features with whole numbers that the model's FP32 input
	// does not hold exactly.
	rounded []string

	// Of the current batch.
	batch onnx.Batch
	out   onnx.Scores
	took  time.Duration // for the batches so far
	names []string      // the predicted class
	shown []float64     // the score as the prediction log has it
}

func newAnswers(c *loadedModel, task string, rows int) *answers {
	a := &answers{contender: c, scores: make([]float64, 0, rows)}
	if task == config.TaskMulticlass {
		a.predicted = make([]int32, 0, rows)
	}
	return a
}

// answerLike maps the model's classes to those of the hold-out, which are the
// candidate's.
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

// score runs the model over a batch and keeps its answers for the kept rows.
func (a *answers) score(ctx context.Context, h *holdout, b *table.Batch) error {
	asBatch(b, a.contender.contract.Features, &a.batch)
	if err := a.ask(ctx); err != nil {
		return err
	}
	a.findRounded()
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
			if a.width > 0 {
				a.probabilities = a.appendProbabilities(a.probabilities, values)
			}
		default:
			a.scores = append(a.scores, values[0])
		}
	}
	return nil
}

// findRounded notes the features of the batch with whole numbers that are rounded
// on their way to the model.
func (a *answers) findRounded() {
	signature := a.contender.model.Signature()
	for i, f := range a.contender.contract.Features {
		if f.Type != onnx.Int || slices.Contains(a.rounded, f.Name) || signature.Datatype(f.Name) != "FP32" {
			continue
		}
		if slices.ContainsFunc(a.batch.Columns[i].Ints, func(v int64) bool { return float64(float32(v)) != float64(v) }) {
			a.rounded = append(a.rounded, f.Name)
		}
	}
}

// scoreTimeout is how long a model may take for the whole hold-out.
const scoreTimeout = 4 * time.Minute

// ask runs the model over the current batch. A model that takes too long fails its own evaluation, and holds up no other.
func (a *answers) ask(ctx context.Context) error {
	began, left := time.Now(), scoreTimeout-a.took
	patience := a.contender.patience
	slow := refuse("it did not answer %s within %s", humanize.Count(int64(a.batch.Rows), "row"), patience)
	if left < patience {
		slow = refuse("it did not answer the hold-out within %s", scoreTimeout)
	}
	limited, cancel := context.WithTimeoutCause(ctx, min(left, patience), slow)
	defer cancel()
	err := a.contender.model.Score(limited, &a.batch, &a.out)
	a.took += time.Since(began)
	return err
}

// show records what the prediction log would contain for a row.
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

// ofLabel returns the probability that the model gave to the label.
func (a *answers) ofLabel(values []float64, label int32) float64 {
	if int(label) >= len(a.column) || a.column[label] < 0 {
		return 0
	}
	return values[a.column[label]]
}

// appendProbabilities appends the probabilities of the classes that the models
// know, as the hold-out numbers them.
func (a *answers) appendProbabilities(to, values []float64) []float64 {
	for class := range a.width {
		p := 0.0
		if class < len(a.column) && a.column[class] >= 0 {
			p = values[a.column[class]]
		}
		to = append(to, p)
	}
	return to
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

// measurable returns the answers with the labels.
func (a *answers) measurable(h *holdout) metric.Answers {
	switch eps := a.contender.eps(); h.task {
	case config.TaskBinary:
		return metric.Binary{Positive: h.positive, Score: a.scores, Eps: eps}
	case config.TaskMulticlass:
		return metric.Multiclass{Label: h.label, Predicted: a.predicted, OfLabel: a.scores, Probabilities: a.probabilities, Classes: a.width, Eps: eps}
	}
	return metric.Regression{Label: h.value, Predicted: a.scores}
}
