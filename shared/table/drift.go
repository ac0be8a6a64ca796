package table

// PSI returns the population stability index of cur against ref: the sum over
// bins of (c-r)*ln(c/r), where r and c are the bin's shares of the non-null
// values. A share of 0 counts as 0.0001. Bins are the quantiles of ref (bins of
// them, equal ones joined; the outer two are open) for int, float and
// timestamp, and the values of either side for string and bool.
func PSI(ref, cur *ColumnProfile, bins int) (float64, error) { panic("not yet") }

// KS returns the two-sample Kolmogorov-Smirnov statistic of two numeric columns
// and its two-sided p-value (asymptotic).
func KS(ref, cur *ColumnProfile) (d, p float64, err error) { panic("not yet") }
