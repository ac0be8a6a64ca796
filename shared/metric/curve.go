package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
)

// sides returns the weights of the positive and of the negative rows, and how
// many there are of each.
func (b Binary) sides(r rows) (pos, neg float64, positives, negatives int) {
	for i, p := range b.Positive {
		switch w := r.weight(i); {
		case w > 0 && p:
			pos += w
			positives++
		case w > 0:
			neg += w
			negatives++
		}
	}
	return pos, neg, positives, negatives
}

// rocAUC is the share of pairs of a positive and a negative row in which the
// positive has the higher score. A row's influence comes from its placement:
// the share of rows of the other class that it is on the right side of.
func (b Binary) rocAUC(r rows) (Estimate, error) {
	pos, neg, positives, negatives := b.sides(r)
	if positives == 0 || negatives == 0 {
		return Estimate{}, fmt.Errorf("roc_auc has no value: all %d rows are of one class", r.some)
	}
	placement := make([]float64, len(b.Score))
	var area sum
	posBelow, negBelow := 0.0, 0.0
	for ties := range b.ties(b.sorted()) {
		posHere, negHere := b.weigh(r, ties)
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
	bessel := func(rows int) float64 { return math.Sqrt(float64(rows) / float64(max(1, rows-1))) }
	ofPositive, ofNegative := n/pos*bessel(positives), n/neg*bessel(negatives)
	for row, p := range b.Positive {
		if p {
			placement[row] = r.weight(row) * (placement[row] - value) * ofPositive
		} else {
			placement[row] = r.weight(row) * (placement[row] - value) * ofNegative
		}
	}
	return Estimate{Name: config.MetricROCAUC, Value: value, rows: r.n, influence: placement}, nil
}

// weigh returns the weights of the positive and the negative ones of some rows.
func (b Binary) weigh(r rows, some []int32) (pos, neg float64) {
	for _, row := range some {
		if b.Positive[row] {
			pos += r.weight(int(row))
		} else {
			neg += r.weight(int(row))
		}
	}
	return pos, neg
}

// ks is the greatest difference over all thresholds of the true and the false
// positive rate, the statistic of Kolmogorov and Smirnov for the scores of both
// classes. Its influence is that of the difference at the threshold found.
func (b Binary) ks(r rows) (Estimate, error) {
	pos, neg, positives, negatives := b.sides(r)
	if positives == 0 || negatives == 0 {
		return Estimate{}, fmt.Errorf("ks has no value: all %d rows are of one class", r.some)
	}
	order := slices.Clone(b.sorted())
	slices.Reverse(order)
	value, threshold, above, falsely := 0.0, math.Inf(1), 0.0, 0.0
	for ties := range b.ties(order) {
		p, n := b.weigh(r, ties)
		above, falsely = above+p, falsely+n
		if d := above/pos - falsely/neg; d > value {
			value, threshold = d, b.Score[ties[0]]
		}
	}
	truly := 0.0
	falsely = 0
	for i, s := range b.Score {
		if s >= threshold && b.Positive[i] {
			truly += r.weight(i)
		} else if s >= threshold {
			falsely += r.weight(i)
		}
	}
	influence := make([]float64, len(b.Score))
	for i, s := range b.Score {
		if b.Positive[i] {
			influence[i] = (indicator(s >= threshold) - truly/pos) * r.total / pos
		} else {
			influence[i] = -(indicator(s >= threshold) - falsely/neg) * r.total / neg
		}
	}
	return r.estimate(config.MetricKS, value, influence), nil
}

// prAUC is the mean over the positives of the precision at their score.
//
// With F(s) the share of rows that score s or more and P(s) that of positives
// among all rows that do, it is A/π with A = E[y P(s)/F(s)] and π the share of
// positives. A row moves A directly, and by what it adds to P and F at every
// score up to its own; it moves π by being positive.
func (b Binary) prAUC(r rows) (Estimate, error) {
	order := slices.Clone(b.sorted())
	slices.Reverse(order)

	// From the highest score down, for the precision at each row's score.
	precision := make([]float64, len(b.Score)) // in the rows' order
	var sumPrecision sum
	above, positives := 0.0, 0.0
	for ties := range b.ties(order) {
		pos, neg := b.weigh(r, ties)
		above += pos + neg
		positives += pos
		if above == 0 {
			continue
		}
		for _, row := range ties {
			precision[row] = positives / above
		}
		sumPrecision.add(pos * positives / above)
	}
	if positives == 0 {
		return Estimate{}, fmt.Errorf("pr_auc has no value: none of the %d rows is of the positive class", r.some)
	}
	value, share := sumPrecision.value()/positives, positives/r.total

	// From the lowest score up, for what a row adds to the precision of the
	// positives that score at most as much.
	slices.Reverse(order)
	influence := precision
	below := 0.0
	perRow, perRowPrecision := 0.0, 0.0 // sums over positives so far of 1/(nF) and P/(nF²)
	for ties := range b.ties(order) {
		atLeast := r.total - below // the weight of rows that score this or more
		pos, neg := b.weigh(r, ties)
		if pos > 0 {
			perRow += pos / atLeast
			perRowPrecision += pos * precision[ties[0]] / atLeast
		}
		for _, row := range ties {
			y := indicator(b.Positive[row])
			direct := y * precision[row]
			through := y*perRow - perRowPrecision
			influence[row] = (direct + through - value*share - value*(y-share)) / share
		}
		below += pos + neg
	}
	return r.estimate(config.MetricPRAUC, value, influence), nil
}

// sorted returns the rows in the order of their scores, which it does not own.
func (b Binary) sorted() []int32 {
	if b.order != nil {
		return b.order
	}
	return b.ascending()
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

// manyRows is the number of rows from which radix sort is faster.
const manyRows = 1 << 13

// ascending returns the rows in the order of their scores. The order of ties is
// unspecified.
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

// stable returns the rows in the order of their scores, equal ones in the order
// of the rows.
func (b Binary) stable() []int32 {
	order := slices.Clone(b.sorted())
	for ties := range b.ties(order) {
		slices.Sort(ties)
	}
	return order
}
