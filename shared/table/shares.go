package table

import (
	"fmt"
	"math"
)

// NewValues returns the share of the values of cur that ref never had, and the
// probability that so many or more come by chance. A value that is new need not
// mean that anything has changed: of a column with many rare values the next one
// is new with a probability of about the share of values that ref has once (Good
// 1953). The greatest rate that ref allows is taken, with three more where it has
// none (the rule of three).
//
// It is for exact columns of string and bool.
func NewValues(ref, cur *ColumnProfile) (share, p float64, err error) {
	if err := comparableColumns(ref, cur); err != nil {
		return 0, 0, err
	}
	if ref.Type != String && ref.Type != Bool || !ref.Exact || !cur.Exact {
		return 0, 0, fmt.Errorf("new values of column %q: it is no exact column of string or bool", ref.Name)
	}
	was, is := countsOfValues(ref, cur)
	var once, fresh float64
	for i := range was {
		switch was[i] {
		case 0:
			fresh += float64(is[i])
		case 1:
			once++
		}
	}
	rate := min(1, (once+2*math.Sqrt(once)+3)/float64(ref.Count))
	return fresh / float64(cur.Count), binomialAtLeast(fresh, float64(cur.Count), rate), nil
}

// fisherBelow is the number of rows up to which SharesDiffer is exact.
const fisherBelow = 1000

// SharesDiffer returns the two-sided probability that a of n and b of m differ as
// much or more by chance: Fisher's exact test below 1,000 rows together, as
// scipy.stats.fisher_exact has it, above that chi-squared of homogeneity without
// Yates's correction.
func SharesDiffer(a, n, b, m int64) float64 {
	yes, no := float64(a+b), float64(n+m-a-b)
	if yes == 0 || no == 0 || n == 0 || m == 0 {
		return 1
	}
	if n+m < fisherBelow {
		return fisher(float64(a), float64(n), yes, float64(n+m))
	}
	x := float64(a)*float64(m-b) - float64(b)*float64(n-a)
	return math.Erfc(math.Sqrt(x * x * float64(n+m) / (yes * no * float64(n) * float64(m)) / 2))
}

// fisher sums the probabilities of all tables with these margins that are no more
// probable than the one with a in its first cell.
func fisher(a, n, yes, all float64) float64 {
	probability := func(x float64) float64 {
		return math.Exp(choose(yes, x) + choose(all-yes, n-x) - choose(all, n))
	}
	seen, sum := probability(a)*(1+1e-7), 0.
	for x := max(0, n+yes-all); x <= min(n, yes); x++ {
		if p := probability(x); p <= seen {
			sum += p
		}
	}
	return min(1, sum)
}

// choose returns the logarithm of the binomial coefficient.
func choose(n, k float64) float64 { return lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1) }
