package metric

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"millrace.dev/config"
)

// MinEffective is the number of effective rows from which Student's t bounds a
// difference. Below it the evidence is short, whatever the bound would be.
const MinEffective = 8

// The methods of a comparison.
const (
	MethodStudent = "Student's t"
	MethodTango   = "Tango's score test"
)

// Gain is by how much one model is better than another on the same rows:
// positive is better, whichever way the metric points. It holds what a
// comparison needs, so that a comparison can be repeated without the rows.
type Gain struct {
	Value float64
	// StdErr is the standard error of Value, NaN for a metric without one.
	StdErr float64
	// Effective is the number of rows that carry the difference:
	// (Σd²)² / Σd⁴ with d the difference of the rows' influences. It is 0 where
	// the models do not differ.
	Effective float64
	// Rows is the number of rows, or of groups of rows.
	Rows int
	// Exact is set for a metric that is a share of rows.
	Exact *Discordant
}

// Discordant counts the rows on which only one of two models is right.
type Discordant struct {
	Better int `json:"better"` // only the new one is right
	Worse  int `json:"worse"`  // only the old one is right
	Of     int `json:"of"`     // rows that count: those of the class for recall
}

// Compare returns the gain of a model over the one before. Both are estimates
// of the same metric on the same rows in the same order. Rows with the same
// number in groups belong together, such as those of one customer: then the
// influences are summed within a group first. groups is nil for independent
// rows.
func Compare(model, before Estimate, groups []int32) Gain {
	sign := 1.0
	if config.LowerIsBetter(model.Name) {
		sign = -1
	}
	g := Gain{Value: sign * (model.Value - before.Value), StdErr: math.NaN(), Rows: model.rows}
	if model.influence == nil || before.influence == nil {
		return g
	}
	if groups != nil {
		g.clustered(model.influence, before.influence, groups)
		return g
	}
	squares, fourth := 0.0, 0.0
	for i, v := range model.influence {
		d := v - before.influence[i]
		squares += d * d
		fourth += d * d * d * d
	}
	g.StdErr = math.Sqrt(squares) / float64(max(1, len(model.influence)))
	g.Effective = effective(squares, fourth)
	if model.right != nil && before.right != nil {
		g.Exact = &Discordant{}
		for i, r := range model.right {
			switch other := before.right[i]; {
			case r == absent:
				continue
			case r > other:
				g.Exact.Better++
			case r < other:
				g.Exact.Worse++
			}
			g.Exact.Of++
		}
		g.Exact = g.Exact.directed(sign)
	}
	return g
}

// directed swaps the sides for a metric that is better when it is lower.
func (d *Discordant) directed(sign float64) *Discordant {
	if sign < 0 {
		d.Better, d.Worse = d.Worse, d.Better
	}
	return d
}

func (g *Gain) clustered(model, before []float64, groups []int32) {
	var sums []float64
	for i, v := range model {
		for int(groups[i]) >= len(sums) {
			sums = append(sums, 0)
		}
		sums[groups[i]] += v - before[i]
	}
	squares, fourth := 0.0, 0.0
	for _, d := range sums {
		squares += d * d
		fourth += d * d * d * d
	}
	n, k := float64(len(model)), float64(len(sums))
	correction := 1.0
	if k > 1 && n > 1 {
		correction = math.Sqrt(k / (k - 1) * (n - 1) / n) // influences have the correction for n rows
	}
	g.StdErr, g.Effective, g.Rows = correction*math.Sqrt(squares)/n, effective(squares, fourth), len(sums)
}

func effective(squares, fourth float64) float64 {
	if fourth == 0 {
		return 0
	}
	return squares * squares / fourth
}

// Outcome is what a comparison says.
type Outcome string

// The outcomes of a comparison. Undecided never passes.
const (
	NotWorse  Outcome = "not worse"
	Worse     Outcome = "worse"
	Undecided Outcome = "undecided"
)

// Comparison is the answer to whether a model is not worse than another one by
// more than a margin.
type Comparison struct {
	Outcome Outcome
	// Lower and Upper are one-sided bounds of the gain at the confidence; NaN
	// where the evidence is short.
	Lower, Upper float64
	Method       string
	// Short says that too few rows carry the difference for any bound.
	Short bool
	// Needed is about how many rows would decide with 80 % probability if the
	// gain stays what it is; 0 where no number of rows would, or none is needed.
	Needed int
	// P is the one-sided p-value of "worse by more than the margin"; 1 where
	// the evidence is short.
	P float64
}

// NotWorseBy tests non-inferiority: whether the gain is at least -margin.
//
// A share of rows (accuracy, recall, specificity) is compared by Tango's score
// test (Tango 1998), which keeps its level with few rows. Any other metric is
// compared by Student's t with Effective-1 degrees of freedom: with a normal
// quantile a model that is worse by exactly the margin passed in up to 84 % of
// cases where few rows carried the difference.
func (g Gain) NotWorseBy(margin, confidence float64) Comparison {
	if g.Exact != nil {
		return g.Exact.notWorseBy(margin, confidence)
	}
	c := Comparison{Method: MethodStudent, Lower: math.NaN(), Upper: math.NaN(), P: 1}
	same := g.Value == 0 && g.StdErr == 0
	switch {
	case math.IsNaN(g.StdErr):
		c.Outcome = Undecided
		return c
	case same && g.Rows >= MinEffective:
		c.Lower, c.Upper, c.Outcome = 0, 0, NotWorse
		return c
	case g.Effective < MinEffective:
		c.Short, c.Outcome = true, Undecided
		if g.Effective > 0 {
			c.Needed = max(g.needed(margin, confidence, g.Effective), int(math.Ceil(float64(g.Rows)*MinEffective/g.Effective)))
		}
		return c
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: g.Effective - 1}
	width := t.Quantile(confidence) * g.StdErr
	c.Lower, c.Upper = g.Value-width, g.Value+width
	c.P = t.CDF((g.Value + margin) / g.StdErr)
	switch {
	case c.Lower >= -margin:
		c.Outcome = NotWorse
	case c.Upper < -margin:
		c.Outcome = Worse
	default:
		c.Outcome, c.Needed = Undecided, g.needed(margin, confidence, g.Effective)
	}
	return c
}

// needed is n ((t + 0.84) se / (gain + margin))², the rows that decide with
// 80 % probability.
func (g Gain) needed(margin, confidence, effective float64) int {
	q := distuv.UnitNormal.Quantile(confidence)
	if effective > 1 {
		q = distuv.StudentsT{Mu: 0, Sigma: 1, Nu: effective - 1}.Quantile(confidence)
	}
	return needed(g.Rows, q, g.StdErr, g.Value+margin)
}

func needed(rows int, quantile, stdErr, distance float64) int {
	const power = 0.84 // the normal quantile of 80 %
	ratio := (quantile + power) * stdErr / distance
	n := float64(rows) * ratio * ratio
	if math.IsNaN(n) || n > 1e12 {
		return 0
	}
	return max(int(math.Ceil(n)), rows+1)
}

func (d Discordant) notWorseBy(margin, confidence float64) Comparison {
	z := distuv.UnitNormal.Quantile(confidence)
	c := Comparison{Method: MethodTango, P: distuv.UnitNormal.CDF(d.Tango(-margin))}
	c.Lower, c.Upper = d.bounds(z)
	gain := float64(d.Better-d.Worse) / float64(max(1, d.Of))
	switch {
	case d.Tango(-margin) > z:
		c.Outcome = NotWorse
	case c.Upper < -margin:
		c.Outcome = Worse
	default:
		c.Outcome = Undecided
		n := float64(max(1, d.Of))
		stdErr := math.Sqrt(max(float64(d.Better+d.Worse)/n-gain*gain, 1/n) / n)
		c.Needed = needed(d.Of, z, stdErr, gain+margin)
	}
	return c
}

// Tango returns the score statistic of the hypothesis that the share of right
// answers has grown by difference (Tango 1998).
func (d Discordant) Tango(difference float64) float64 {
	b, c, n := float64(d.Better), float64(d.Worse), float64(d.Of)
	bb := -b - c + (2*n-b+c)*difference
	cc := -c * difference * (1 - difference)
	q := (math.Sqrt(max(bb*bb-8*n*cc, 0)) - bb) / (4 * n)
	variance := n * (2*q + difference*(1-difference))
	score := b - c - n*difference
	switch {
	case variance > 0:
		return score / math.Sqrt(variance)
	case math.Abs(score) < 1e-12 || n == 0:
		return 0
	}
	return math.Copysign(math.Inf(1), score)
}

// Interval returns the two-sided interval of the difference at the confidence:
// the differences that Tango's test does not reject.
func (d Discordant) Interval(confidence float64) (low, high float64) {
	return d.bounds(distuv.UnitNormal.Quantile((1 + confidence) / 2))
}

// bounds solves Tango(difference) = ±z by bisection.
func (d Discordant) bounds(z float64) (low, high float64) {
	const edge = 1 - 1e-12
	at := float64(d.Better-d.Worse) / float64(max(1, d.Of))
	return d.root(-edge, at, z), d.root(at, edge, -z)
}

func (d Discordant) root(low, high, want float64) float64 {
	for range 100 {
		mid := (low + high) / 2
		if d.Tango(mid) > want {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// McNemar returns the exact p-value of "both are right equally often", and the
// mid-p, which is less conservative (Fagerland, Lydersen and Laake 2013).
func (d Discordant) McNemar() (exact, mid float64) {
	if d.Better == d.Worse {
		return 1, 1
	}
	low := float64(min(d.Better, d.Worse))
	half := distuv.Binomial{N: float64(d.Better + d.Worse), P: 0.5}
	tail := 2 * half.CDF(low)
	return min(1, tail), min(1, tail-half.Prob(low))
}

// AtLeast returns the one-sided lower bound of the estimate at the confidence,
// and AtMost the upper one. ok is false where too few rows carry the value. A
// share of rows is bounded as by Clopper and Pearson (1934), which is exact.
func (e Estimate) AtLeast(confidence float64) (bound float64, ok bool) {
	if e.right != nil {
		hits, n := e.hits()
		if hits == 0 {
			return 0, true
		}
		return distuv.Beta{Alpha: hits, Beta: n - hits + 1}.Quantile(1 - confidence), true
	}
	return e.oneSided(-1, confidence)
}

// AtMost is described at AtLeast.
func (e Estimate) AtMost(confidence float64) (bound float64, ok bool) {
	if e.right != nil {
		hits, n := e.hits()
		if hits == n {
			return 1, true
		}
		return distuv.Beta{Alpha: hits + 1, Beta: n - hits}.Quantile(confidence), true
	}
	return e.oneSided(1, confidence)
}

func (e Estimate) hits() (hits, of float64) {
	for _, r := range e.right {
		if r != absent {
			of++
			hits += float64(r)
		}
	}
	return hits, of
}

func (e Estimate) oneSided(sign, confidence float64) (float64, bool) {
	squares, fourth := 0.0, 0.0
	for _, v := range e.influence {
		squares += v * v
		fourth += v * v * v * v
	}
	n := effective(squares, fourth)
	if n < MinEffective {
		return math.NaN(), false
	}
	least, most := limits(e.Name)
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(confidence)
	return min(max(e.Value+sign*t*e.StdErr(), least), most), true
}
