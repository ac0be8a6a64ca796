package driftcheck

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
)

const (
	// bins of a PSI over numbers.
	bins = 10
	// minValues is the number of values that a column needs on either side to be tested. With fewer, a bin is easily empty,
	// and an empty bin alone gives a large PSI.
	minValues = 100
)

// compare tests every feature and the prediction. It also returns how many of them could not be tested.
func compare(p *config.Pipeline, ref reference, s *served) (_ events.DriftCheck, untested int) {
	c := events.DriftCheck{Version: ref.version, Batches: s.batches, Rows: s.rows, From: s.from, To: s.to, Last: s.last}
	for _, name := range p.Spec.Model.Features {
		was := ref.features.Column(name)
		is, err := s.feature(name)
		d, ok := test(name, p.DriftTest(name), was, is)
		if err != nil {
			d, ok = refuse(name, p.DriftTest(name), err.Error())
		}
		if !ok {
			untested++
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
			untested++
		}
		c.Prediction = &d
	}
	return c, untested
}

// test compares one column; ok reports whether it could be tested.
func test(name string, t config.DriftTest, was, is *table.ColumnProfile) (_ events.ColumnDrift, ok bool) {
	switch {
	case was == nil:
		return refuse(name, t, "the training data does not have it")
	case is == nil:
		return refuse(name, t, "the served rows do not have it as "+string(was.Type))
	}
	if d := missing(name, was, is); d.Drifted {
		return d, true
	}
	if least := min(was.Count, is.Count); least < minValues {
		return refuse(name, t, fmt.Sprintf("too few values: %d, and at least %d are needed", least, minValues))
	}
	if d := newValues(name, was, is); d.Drifted {
		return d, true
	}
	if t.Test == config.TestKS {
		return testKS(name, t, was, is)
	}
	return testPSI(name, t, was, is)
}

func refuse(name string, t config.DriftTest, why string) (_ events.ColumnDrift, ok bool) {
	d := events.ColumnDrift{Column: name, Test: t.Test, Threshold: t.Threshold, Reason: fmt.Sprintf("%s was not tested: %s", name, why)}
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
		name, humanize.Metric(distance), humanize.Metric(p), limit(d.Drifted, "below the", "not below the", t.PValue), means(was, is))
	return d, true
}

func testPSI(name string, t config.DriftTest, was, is *table.ColumnProfile) (_ events.ColumnDrift, ok bool) {
	psi, cells, err := table.PSI(was, is, bins)
	if err != nil {
		return refuse(name, t, err.Error())
	}
	d := events.ColumnDrift{Column: name, Test: config.TestPSI, Statistic: psi, Threshold: t.Threshold}
	chance := table.PSIByChance(cells, was.Count, is.Count)
	d.Drifted = psi > t.Threshold && psi > chance
	switch {
	case psi > t.Threshold && !d.Drifted:
		d.Reason = fmt.Sprintf("%s has a PSI of %s, above the threshold of %v, but with so few values up to %s is chance", name, humanize.Metric(psi), t.Threshold, humanize.Metric(chance))
	default:
		d.Reason = fmt.Sprintf("%s has a PSI of %s, %s%s", name, humanize.Metric(psi), limit(d.Drifted, "above the threshold of", "within the threshold of", t.Threshold), means(was, is))
	}
	return d, true
}

// The tests beside that of a column's distribution. A difference counts that is more than chance and more than a point.
const (
	testMissing   = "missing"
	testNewValues = "new_values"
	leastShare    = 0.01
	byChance      = 1e-4
)

// missing compares the shares of missing values.
func missing(name string, was, is *table.ColumnProfile) events.ColumnDrift {
	before, now := was.NullShare(), is.NullShare()
	p := table.SharesDiffer(was.Nulls, was.Count+was.Nulls, is.Nulls, is.Count+is.Nulls)
	d := events.ColumnDrift{Column: name, Test: testMissing, Statistic: math.Abs(now - before), PValue: &p, Threshold: leastShare}
	d.Drifted = d.Statistic > leastShare && p < byChance
	d.Reason = fmt.Sprintf("%s is missing in %s of the rows, and was missing in %s in training", name, humanize.Percent(now), humanize.Percent(before))
	return d
}

// newValues tests the share of values that the training data never had.
func newValues(name string, was, is *table.ColumnProfile) events.ColumnDrift {
	share, p, err := table.NewValues(was, is)
	d := events.ColumnDrift{Column: name, Test: testNewValues, Statistic: share, PValue: &p, Threshold: leastShare}
	d.Drifted = err == nil && share > leastShare && p < byChance
	d.Reason = fmt.Sprintf("%s has values in %s of the rows that the training data never had", name, humanize.Percent(share))
	return d
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

// mostMoved returns the column that is nearest to drift, nil if none was tested.
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

// shorten keeps the columns that have moved farthest when there are too many for an event.
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
