package table

import (
	"fmt"
	"math"
)

// emptyShare stands for a share of 0 in PSI, which has no logarithm.
const emptyShare = 1e-4

// PSI returns the population stability index of cur against ref:
//
//	sum over bins of (c - r) * ln(c / r)
//
// where r and c are the bin's shares of the values of ref and cur that are not
// null. A share of 0 counts as 0.0001, as Evidently has it.
//
// For int, float and timestamp the bins are between the quantiles of ref
// (np.quantile at 0, 1/bins, ..., 1; equal ones joined, so that there may be
// fewer), each with its right edge, and the first and last are open: a value
// outside what ref has seen belongs to the bin next to it. For string and bool
// every value of ref or cur is a bin.
//
// It is exact for exact columns. A string column of more than MaxDistinct values
// has no PSI.
func PSI(ref, cur *ColumnProfile, bins int) (float64, error) {
	if err := comparableColumns(ref, cur); err != nil {
		return 0, err
	}
	if bins < 2 {
		return 0, fmt.Errorf("psi of column %q: %d bins, and at least 2 are needed", ref.Name, bins)
	}
	if ref.Type == String || ref.Type == Bool {
		if !ref.Exact || !cur.Exact {
			return 0, fmt.Errorf("psi of column %q: it has more than %d different values", ref.Name, MaxDistinct)
		}
		return psiOfValues(ref, cur), nil
	}
	r, c := ref.order(), cur.order()
	edges := edgesOf(ref.Type, r, bins)
	return psi(histogram(ref.Type, r, edges), histogram(cur.Type, c, edges)), nil
}

// PSIBins returns the number of bins of the PSI of two columns: at most bins for
// int, float and timestamp, and the number of different values for string and
// bool.
func PSIBins(ref, cur *ColumnProfile, bins int) int {
	if ref.Type != String && ref.Type != Bool {
		return int(min(int64(bins), ref.Distinct))
	}
	seen := map[any]bool{}
	for _, c := range []*ColumnProfile{ref, cur} {
		for v := range c.Values() {
			seen[v] = true
		}
	}
	return len(seen)
}

// PSIByChance returns the PSI with this many bins that two samples of the same
// distribution exceed once in ten thousand times; ref and cur are their numbers of
// values. Such a PSI is (1/ref + 1/cur) times chi-squared with bins-1 degrees of
// freedom (Yurdakul 2018), whose quantile is that of Wilson and Hilferty.
func PSIByChance(bins int, ref, cur int64) float64 {
	if bins < 2 || ref == 0 || cur == 0 {
		return 0
	}
	const z = 3.7190 // the 99.99 % quantile of the normal distribution
	k := float64(bins - 1)
	root := 1 - 2/(9*k) + z*math.Sqrt(2/(9*k))
	return k * root * root * root * (1/float64(ref) + 1/float64(cur))
}

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

// psiOfValues is PSI with a bin for each value.
func psiOfValues(ref, cur *ColumnProfile) float64 {
	r, c := ref.values, cur.values
	var a, b []int64
	for len(r) > 0 || len(c) > 0 {
		order := -1
		switch {
		case len(r) == 0:
			order = 1
		case len(c) > 0:
			order = compareEntries(r[0], c[0])
		}
		var inRef, inCur int64
		if order <= 0 {
			inRef, r = r[0].n, r[1:]
		}
		if order >= 0 {
			inCur, c = c[0].n, c[1:]
		}
		a, b = append(a, inRef), append(b, inCur)
	}
	return psi(a, b)
}

func psi(ref, cur []int64) float64 {
	var inRef, inCur, sum float64
	for i := range ref {
		inRef += float64(ref[i])
		inCur += float64(cur[i])
	}
	for i := range ref {
		r, c := float64(ref[i])/inRef, float64(cur[i])/inCur
		if r == 0 {
			r = emptyShare
		}
		if c == 0 {
			c = emptyShare
		}
		sum += (c - r) * math.Log(c/r)
	}
	return sum
}

// edgesOf returns the inner edges of the bins.
func edgesOf(typ Type, values []entry, bins int) []float64 {
	var edges []float64
	probs := make([]float64, bins-1)
	for i := range probs {
		probs[i] = float64(i+1) / float64(bins)
	}
	for _, at := range quantilesAt(typ, values, probs) {
		if len(edges) == 0 || at > edges[len(edges)-1] {
			edges = append(edges, at)
		}
	}
	// A bin beyond the greatest value of ref would be empty there.
	if last := values[len(values)-1].number(typ); len(edges) > 0 && edges[len(edges)-1] >= last {
		edges = edges[:len(edges)-1]
	}
	return edges
}

// histogram counts the values up to each edge, and those above the last.
func histogram(typ Type, values []entry, edges []float64) []int64 {
	counts := make([]int64, len(edges)+1)
	i := 0
	for _, e := range values {
		for i < len(edges) && e.number(typ) > edges[i] {
			i++
		}
		counts[i] += e.n
	}
	return counts
}

// KS returns the two-sample Kolmogorov-Smirnov statistic of two columns of int,
// float or timestamp, the greatest difference of their cumulative shares, and
// its two-sided p-value in the asymptotic form of
// scipy.stats.ks_2samp(method="asymp").
//
// It is exact for exact columns; a sketch adds its error of at most 0.005 to d.
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
	return d, kolmogorov(math.Round(big*small/(big+small)), d), nil
}
