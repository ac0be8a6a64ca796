package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
)

// rocAUC is the share of pairs of a positive and a negative row in which the
// positive has the higher score. A row's influence comes from its placement:
// the share of rows of the other class that it is on the right side of.
func (b Binary) rocAUC() (Estimate, error) {
	positives := 0
	for _, p := range b.Positive {
		if p {
			positives++
		}
	}
	pos, neg := float64(positives), float64(len(b.Positive)-positives)
	if pos == 0 || neg == 0 {
		return Estimate{}, fmt.Errorf("roc_auc has no value: all %d rows are of one class", len(b.Positive))
	}
	placement := make([]float64, len(b.Score))
	var area sum
	posBelow, negBelow := 0.0, 0.0
	for ties := range b.ties(b.ascending()) {
		posHere := 0.0
		for _, row := range ties {
			posHere += indicator(b.Positive[row])
		}
		negHere := float64(len(ties)) - posHere
		ofPositive := (negBelow + negHere/2) / neg
		ofNegative := (pos - posBelow - posHere/2) / pos
		for _, row := range ties {
			if b.Positive[row] {
				placement[row] = ofPositive
			} else {
				placement[row] = ofNegative
			}
		}
		area.add(posHere * ofPositive)
		posBelow, negBelow = posBelow+posHere, negBelow+negHere
	}
	value := area.value() / pos
	// DeLong's variance is the sample variance of the placements within each
	// class by the class's size.
	n := float64(len(b.Score))
	ofPositive, ofNegative := n/math.Sqrt(pos*max(1, pos-1)), n/math.Sqrt(neg*max(1, neg-1))
	for row, p := range b.Positive {
		if p {
			placement[row] = (placement[row] - value) * ofPositive
		} else {
			placement[row] = (placement[row] - value) * ofNegative
		}
	}
	return Estimate{Name: config.MetricROCAUC, Value: value, influence: placement}, nil
}

// prAUC is the mean over the positives of the precision at their score.
//
// With F(s) the share of rows that score s or more and P(s) that of positives
// among all rows that do, it is A/π with A = E[y P(s)/F(s)] and π the share of
// positives. A row moves A directly, and by what it adds to P and F at every
// score up to its own; it moves π by being positive.
func (b Binary) prAUC() (Estimate, error) {
	n := float64(len(b.Score))
	order := b.ascending()
	slices.Reverse(order)

	// From the highest score down, for the precision at each row's score.
	precision := make([]float64, len(b.Score)) // in the rows' order
	var sumPrecision sum
	above, positives := 0.0, 0.0
	for ties := range b.ties(order) {
		above += float64(len(ties))
		here := 0.0
		for _, row := range ties {
			here += indicator(b.Positive[row])
		}
		positives += here
		for _, row := range ties {
			precision[row] = positives / above
		}
		sumPrecision.add(here * positives / above)
	}
	if positives == 0 {
		return Estimate{}, fmt.Errorf("pr_auc has no value: none of the %d rows is of the positive class", len(b.Score))
	}
	value, share := sumPrecision.value()/positives, positives/n

	// From the lowest score up, for what a row adds to the precision of the
	// positives that score at most as much.
	slices.Reverse(order)
	influence := precision
	below := 0.0
	perRow, perRowPrecision := 0.0, 0.0 // sums over positives so far of 1/(nF) and P/(nF²)
	for ties := range b.ties(order) {
		atLeast := n - below // rows that score this or more
		for _, row := range ties {
			if b.Positive[row] {
				perRow += 1 / atLeast
				perRowPrecision += precision[row] / atLeast
			}
		}
		for _, row := range ties {
			y := indicator(b.Positive[row])
			direct := y * precision[row]
			through := y*perRow - perRowPrecision
			influence[row] = (direct + through - value*share - value*(y-share)) / share
		}
		below += float64(len(ties))
	}
	return estimate(config.MetricPRAUC, value, influence), nil
}

// ties yields runs of rows with equal scores of an order by score.
func (b Binary) ties(order []int32) func(yield func([]int32) bool) {
	return func(yield func([]int32) bool) {
		for from := 0; from < len(order); {
			to := from + 1
			for score := b.Score[order[from]]; to < len(order) && b.Score[order[to]] == score; {
				to++
			}
			if !yield(order[from:to]) {
				return
			}
			from = to
		}
	}
}

// manyRows is from where on sorting by digits pays.
const manyRows = 1 << 13

// ascending gives the rows in the order of their scores. The order of ties is
// left open.
func (b Binary) ascending() []int32 {
	order := make([]int32, len(b.Score))
	for i := range order {
		order[i] = int32(i)
	}
	if len(order) < manyRows {
		slices.SortFunc(order, func(x, y int32) int { return cmp.Compare(b.Score[x], b.Score[y]) })
		return order
	}
	// A radix sort, 16 bits of the scores at a time. Digits that all rows
	// share, such as the last of FP32 answers, cost nothing.
	keys := make([]uint64, len(order))
	for i, s := range b.Score {
		keys[i] = sortable(s)
	}
	next, count := make([]int32, len(order)), make([]int32, 1<<16)
	for shift := 0; shift < 64; shift += 16 {
		clear(count)
		for _, k := range keys {
			count[uint16(k>>shift)]++
		}
		if int(count[uint16(keys[0]>>shift)]) == len(keys) {
			continue
		}
		at := int32(0)
		for i, c := range count {
			count[i], at = at, at+c
		}
		for _, row := range order {
			digit := uint16(keys[row] >> shift)
			next[count[digit]] = row
			count[digit]++
		}
		order, next = next, order
	}
	return order
}

// sortable maps a float to an integer with the same order; both zeros to one.
func sortable(f float64) uint64 {
	u := math.Float64bits(f + 0)
	if u>>63 == 1 {
		return ^u
	}
	return u | 1<<63
}
