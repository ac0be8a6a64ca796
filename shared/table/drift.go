package table

import (
	"fmt"
	"math"
)

// emptyShare stands for a share of 0 in PSI, which has no logarithm.
const emptyShare = 1e-4

// PSI returns the population stability index of cur against ref:
//
//	sum over cells of (c - r) * ln(c / r)
//
// where r and c are the cell's shares of the values of ref and cur that are not
// null, and the number of cells.
//
// For int, float and timestamp the cells are between the quantiles of ref
// (np.quantile at 0, 1/bins, ..., 1; equal ones joined, so that there may be
// fewer), each with its right edge. What is below the least or above the greatest
// value of ref has a cell of its own on either side: a constant that has become
// another one has moved. A cell that both leave empty does not count, and a share
// of 0 counts as 0.0001, or as half a value if that is more. For string and bool
// every value of ref or cur is a cell, and a share of 0 counts as 0.0001.
//
// It is exact for exact columns. A string column of more than MaxDistinct values
// has no PSI.
func PSI(ref, cur *ColumnProfile, bins int) (index float64, cells int, err error) {
	if err := comparableColumns(ref, cur); err != nil {
		return 0, 0, err
	}
	if bins < 2 {
		return 0, 0, fmt.Errorf("psi of column %q: %d bins, and at least 2 are needed", ref.Name, bins)
	}
	if ref.Type == String || ref.Type == Bool {
		if !ref.Exact || !cur.Exact {
			return 0, 0, fmt.Errorf("psi of column %q: it has more than %d different values", ref.Name, MaxDistinct)
		}
		r, c := countsOfValues(ref, cur)
		index, cells = psi(r, c, emptyShare, emptyShare)
		return index, cells, nil
	}
	r := ref.order()
	least, edges := edgesOf(ref.Type, r, bins)
	index, cells = psi(cellsOf(ref.Type, r, least, edges), cellsOf(cur.Type, cur.order(), least, edges), emptyOf(ref.Count), emptyOf(cur.Count))
	return index, cells, nil
}

// emptyOf is what a share of 0 among n values counts as.
func emptyOf(n int64) float64 { return max(emptyShare, 0.5/float64(n)) }

// PSIByChance returns the PSI with this many cells that two samples of the same
// distribution exceed once in ten thousand times; ref and cur are their numbers of
// values. Such a PSI is (1/ref + 1/cur) times chi-squared with cells-1 degrees of
// freedom (Yurdakul 2018), whose quantile is that of Wilson and Hilferty.
func PSIByChance(cells int, ref, cur int64) float64 {
	if cells < 2 || ref == 0 || cur == 0 {
		return 0
	}
	const z = 3.7190 // the 99.99 % quantile of the normal distribution
	k := float64(cells - 1)
	root := 1 - 2/(9*k) + z*math.Sqrt(2/(9*k))
	return k * root * root * root * (1/float64(ref) + 1/float64(cur))
}

// sketchError is what two sketches may add to the distance of KS.
const sketchError = 0.002

// comparableColumns says why two columns cannot be compared.
func comparableColumns(ref, cur *ColumnProfile) error {
	switch {
	case ref == nil || cur == nil:
		return fmt.Errorf("compare columns: one of them is not there")
	case ref.isSummary() || cur.isSummary():
		return fmt.Errorf("compare column %q: a summary has no distribution", ref.Name)
	case ref.Type != cur.Type:
		return fmt.Errorf("compare column %q: it was %s and is %s", ref.Name, ref.Type, cur.Type)
	case ref.Count == 0 || cur.Count == 0:
		return fmt.Errorf("compare column %q: one side has no values", ref.Name)
	}
	return nil
}

// order returns the values in ascending order: all, or those a sketch has.
func (c *ColumnProfile) order() []entry {
	if c.sketch == nil {
		return c.values
	}
	return c.sketch.quantiles.entries()
}

// countsOfValues returns how often each value of ref or cur stands in them.
func countsOfValues(ref, cur *ColumnProfile) (inRef, inCur []int64) {
	r, c := ref.values, cur.values
	for len(r) > 0 || len(c) > 0 {
		order := -1
		switch {
		case len(r) == 0:
			order = 1
		case len(c) > 0:
			order = compareEntries(r[0], c[0])
		}
		var n, m int64
		if order <= 0 {
			n, r = r[0].n, r[1:]
		}
		if order >= 0 {
			m, c = c[0].n, c[1:]
		}
		inRef, inCur = append(inRef, n), append(inCur, m)
	}
	return inRef, inCur
}

// psi returns the index of two rows of counts, and how many cells are not empty
// in both.
func psi(ref, cur []int64, emptyRef, emptyCur float64) (index float64, cells int) {
	var inRef, inCur float64
	for i := range ref {
		inRef += float64(ref[i])
		inCur += float64(cur[i])
	}
	for i := range ref {
		if ref[i] == 0 && cur[i] == 0 {
			continue
		}
		cells++
		r, c := float64(ref[i])/inRef, float64(cur[i])/inCur
		if r == 0 {
			r = emptyRef
		}
		if c == 0 {
			c = emptyCur
		}
		index += (c - r) * math.Log(c/r)
	}
	return index, cells
}

// edgesOf returns the least value and the right edges of the cells above it: the
// quantiles, and the greatest value.
func edgesOf(typ Type, values []entry, bins int) (least float64, edges []float64) {
	probs := make([]float64, bins-1)
	for i := range probs {
		probs[i] = float64(i+1) / float64(bins)
	}
	for _, at := range append(quantilesAt(typ, values, probs), values[len(values)-1].number(typ)) {
		if len(edges) == 0 || at > edges[len(edges)-1] {
			edges = append(edges, at)
		}
	}
	return values[0].number(typ), edges
}

// cellsOf counts the values below the least, up to each edge, and above the last
// one.
func cellsOf(typ Type, values []entry, least float64, edges []float64) []int64 {
	counts := make([]int64, len(edges)+2)
	i := 0
	for _, e := range values {
		x := e.number(typ)
		if x < least {
			counts[0] += e.n
			continue
		}
		for i < len(edges) && x > edges[i] {
			i++
		}
		counts[i+1] += e.n
	}
	return counts
}

// KS returns the two-sample Kolmogorov-Smirnov statistic of two columns of int,
// float or timestamp, the greatest difference of their cumulative shares, and
// its two-sided p-value in the asymptotic form of
// scipy.stats.ks_2samp(method="asymp"). With ties, which it does not know of, p
// is too large rather than too small.
//
// It is exact for exact columns. A sketch has d within 0.001; its p-value is that
// of 0.002 less, so that the error of a sketch is no evidence.
func KS(ref, cur *ColumnProfile) (d, p float64, err error) {
	if err := comparableColumns(ref, cur); err != nil {
		return 0, 0, err
	}
	if ref.Type == String || ref.Type == Bool {
		return 0, 0, fmt.Errorf("kolmogorov-smirnov of column %q: %s has no order to compare; use psi", ref.Name, ref.Type)
	}
	r, c := ref.order(), cur.order()
	n, m := float64(ref.Count), float64(cur.Count)
	var below, belowCur int64
	for len(r) > 0 && len(c) > 0 {
		order := compareEntries(r[0], c[0])
		if order <= 0 {
			below += r[0].n
			r = r[1:]
		}
		if order >= 0 {
			belowCur += c[0].n
			c = c[1:]
		}
		d = max(d, math.Abs(float64(below)/n-float64(belowCur)/m))
	}
	big, small := max(n, m), min(n, m)
	tested := d
	if ref.sketch != nil || cur.sketch != nil {
		tested = max(0, d-sketchError)
	}
	effective := int(math.RoundToEven(big * small / (big + small)))
	if effective == 0 {
		return d, 1, nil // one value on either side says nothing
	}
	return d, kolmogorov(effective, tested), nil
}
