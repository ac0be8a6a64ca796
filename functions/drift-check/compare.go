package driftcheck

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

const (
	// bins of a PSI over numbers.
	bins = 10
	// minValues is how many values a column needs on either side to be judged:
	// below it a bin is easily empty, and an empty bin alone is a large PSI.
	minValues = 100
)

// compare tests every feature, and the prediction. It tells how many of them
// could not be judged.
func compare(p *config.Pipeline, ref reference, s *served) (_ events.DriftCheck, unjudged int) {
	c := events.DriftCheck{Version: ref.version, Batches: s.batches, Rows: s.rows, From: s.from, To: s.to, Last: s.last}
	for _, name := range p.Spec.Model.Features {
		was := ref.features.Column(name)
		is, err := s.feature(name)
		d, ok := test(name, p.DriftTest(name), was, is)
		if err != nil {
			d, ok = refuse(name, p.DriftTest(name), err.Error())
		}
		if !ok {
			unjudged++
		}
		c.Columns = append(c.Columns, d)
	}
	if ref.answers != nil && s.answers != nil {
		t, column := p.DriftTest(config.DriftPrediction), scoreColumn
		if p.Spec.Model.Task == config.TaskMulticlass && t.Test == config.TestPSI {
			column = predictionColumn
		}
		d, ok := test(config.DriftPrediction, t, ref.answers.Column(column), s.answers.Column(column))
		if !ok {
			unjudged++
		}
		c.Prediction = &d
	}
	return c, unjudged
}

// test compares one column; ok tells whether it could be judged.
func test(name string, t config.DriftTest, was, is *table.ColumnProfile) (_ events.ColumnDrift, ok bool) {
	switch {
	case was == nil:
		return refuse(name, t, "the training data does not have it")
	case is == nil:
		return refuse(name, t, "what was served does not have it as "+string(was.Type))
	}
	if d := testMissing(name, t, was, is); d.Drifted {
		return d, true
	}
	if least := min(was.Count, is.Count); least < minValues {
		return refuse(name, t, fmt.Sprintf("too few values to judge: %d, and at least %d are needed", least, minValues))
	}
	if t.Test == config.TestKS {
		return testKS(name, t, was, is)
	}
	return testPSI(name, t, was, is)
}

func refuse(name string, t config.DriftTest, why string) (_ events.ColumnDrift, ok bool) {
	d := events.ColumnDrift{Column: name, Test: t.Test, Threshold: t.Threshold, Reason: fmt.Sprintf("%s was not judged: %s", name, why)}
	if t.Test == config.TestKS {
		d.Threshold = t.PValue
	}
	return d, false
}

func testKS(name string, t config.DriftTest, was, is *table.ColumnProfile) (_ events.ColumnDrift, ok bool) {
	distance, p, err := table.KS(was, is)
	if err != nil {
		return refuse(name, t, err.Error())
	}
	d := events.ColumnDrift{Column: name, Test: config.TestKS, Statistic: distance, PValue: &p, Threshold: t.PValue, Drifted: p < t.PValue}
	d.Reason = fmt.Sprintf("%s has a KS distance of %s with p = %s, %s%s",
		name, show(distance), show(p), limit(d.Drifted, "below the", "not below the", t.PValue), means(was, is))
	return d, true
}

func testPSI(name string, t config.DriftTest, was, is *table.ColumnProfile) (_ events.ColumnDrift, ok bool) {
	psi, err := table.PSI(was, is, bins)
	if err != nil {
		return refuse(name, t, err.Error())
	}
	d := events.ColumnDrift{Column: name, Test: config.TestPSI, Statistic: psi, Threshold: t.Threshold}
	byChance := chance(cells(was, is), was.Count, is.Count)
	d.Drifted = psi > t.Threshold && psi > byChance
	switch {
	case psi > t.Threshold && !d.Drifted:
		d.Reason = fmt.Sprintf("%s has a PSI of %s, above the threshold of %v, but so few values give up to %s by chance", name, show(psi), t.Threshold, show(byChance))
	default:
		d.Reason = fmt.Sprintf("%s has a PSI of %s, %s%s", name, show(psi), limit(d.Drifted, "above the threshold of", "within the threshold of", t.Threshold), means(was, is))
	}
	return d, true
}

// testMissing compares the shares of missing values: a PSI of two bins.
func testMissing(name string, t config.DriftTest, was, is *table.ColumnProfile) events.ColumnDrift {
	before, now := was.NullShare(), is.NullShare()
	psi := twoBins(before, now)
	d := events.ColumnDrift{Column: name, Test: config.TestPSI, Statistic: psi, Threshold: t.Threshold}
	d.Drifted = psi > t.Threshold && psi > chance(2, was.Count+was.Nulls, is.Count+is.Nulls)
	d.Reason = fmt.Sprintf("%s is missing in %s of the rows, in training it was in %s: a PSI of %s, above the threshold of %v",
		name, perCent(now), perCent(before), show(psi), t.Threshold)
	return d
}

// twoBins is the PSI of two shares. A share of 0 counts as 0.0001, as in
// table.PSI.
func twoBins(before, now float64) float64 {
	psi := 0.0
	for _, s := range [][2]float64{{before, now}, {1 - before, 1 - now}} {
		was, is := max(s[0], 1e-4), max(s[1], 1e-4)
		psi += (is - was) * math.Log(is/was)
	}
	return psi
}

// cells is the number of bins of a PSI.
func cells(was, is *table.ColumnProfile) int {
	if was.Type != table.String && was.Type != table.Bool {
		return int(min(bins, was.Distinct))
	}
	seen := map[any]bool{}
	for _, c := range []*table.ColumnProfile{was, is} {
		for v := range c.Values() {
			seen[v] = true
		}
	}
	return len(seen)
}

// chance is the PSI that is exceeded once in ten thousand times when nothing has
// moved (a check tests many columns, and checks are many): the quantile of
// chi-squared, by Wilson and Hilferty.
func chance(cells int, before, now int64) float64 {
	if cells < 2 || before == 0 || now == 0 {
		return 0
	}
	const z = 3.7190 // the 99.99 % quantile of the normal distribution
	k := float64(cells - 1)
	root := 1 - 2/(9*k) + z*math.Sqrt(2/(9*k))
	return k * root * root * root * (1/float64(before) + 1/float64(now))
}

// columns are the features and the prediction.
func columns(c events.DriftCheck) []events.ColumnDrift {
	all := slices.Clone(c.Columns)
	if c.Prediction != nil {
		all = append(all, *c.Prediction)
	}
	return all
}

// drifted are the columns that have moved, the farthest first.
func drifted(c events.DriftCheck) []events.ColumnDrift {
	moved := slices.DeleteFunc(columns(c), func(d events.ColumnDrift) bool { return !d.Drifted })
	slices.SortStableFunc(moved, func(a, b events.ColumnDrift) int { return compareMoves(b, a) })
	return moved
}

// mostMoved is the column that is nearest to drift, nil if none was judged.
func mostMoved(c events.DriftCheck) *events.ColumnDrift {
	all := slices.DeleteFunc(columns(c), func(d events.ColumnDrift) bool { return d.Statistic == 0 })
	if len(all) == 0 {
		return nil
	}
	most := slices.MaxFunc(all, compareMoves)
	return &most
}

// maxColumns is how many columns an event carries.
const maxColumns = 500

// shorten leaves those that have moved farthest, when there are too many for an
// event.
func shorten(all []events.ColumnDrift) []events.ColumnDrift {
	if len(all) <= maxColumns {
		return all
	}
	slices.SortStableFunc(all, func(a, b events.ColumnDrift) int {
		switch {
		case a.Drifted && !b.Drifted:
			return -1
		case b.Drifted && !a.Drifted:
			return 1
		}
		return compareMoves(b, a)
	})
	return all[:maxColumns]
}

// compareMoves orders columns by how far they have moved.
func compareMoves(a, b events.ColumnDrift) int {
	return cmp.Compare(far(a), far(b))
}

func far(d events.ColumnDrift) float64 {
	if d.Test == config.TestKS {
		return d.Statistic / 10 // a distance of 0.02 is small where a PSI of 0.2 is not
	}
	return d.Statistic / d.Threshold
}
