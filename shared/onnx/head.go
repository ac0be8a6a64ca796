package onnx

import (
	"math"
	"slices"
)

// head says how the values of a model's score output become Scores.
type head struct {
	// activation is applied to the values first: see Contract.
	activation string
	// single says that the output has one value a row, the probability of the second of two classes.
	single bool
}

// width returns how many scores a row has of an output with so many values.
func (h head) width(values int) int {
	if h.single {
		return 2
	}
	return values
}

// appendScores appends the scores of rows from to end of the output to scores.
func (h head) appendScores(scores []float64, t tensor, from, end int) []float64 {
	at := len(scores)
	scores = t.appendTo(scores, from, end)
	switch h.activation {
	case Sigmoid:
		for i, x := range scores[at:] {
			scores[at+i] = 1 / (1 + math.Exp(-x))
		}
	case Softmax:
		for row := range slices.Chunk(scores[at:], t.port.width) {
			softmax(row)
		}
	}
	if !h.single {
		return scores
	}
	n := end - from
	scores = slices.Grow(scores, n)[:at+2*n]
	for i := n - 1; i >= 0; i-- { // from the last on, as the rows become wider
		p := scores[at+i]
		scores[at+2*i], scores[at+2*i+1] = 1-p, p
	}
	return scores
}

// softmax turns a row of logits into probabilities.
func softmax(row []float64) {
	most, sum := slices.Max(row), 0.
	for i, x := range row {
		row[i] = math.Exp(x - most)
		sum += row[i]
	}
	for i := range row {
		row[i] /= sum
	}
}
