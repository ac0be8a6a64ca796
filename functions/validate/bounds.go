package validate

import (
	"context"
	"fmt"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// psiBins is the number of bins of a PSI over numbers, as in drift-check.
const psiBins = 10

// beyond returns the bounds of data.compare that a partition breaks, against the
// dataset without the partition that it replaces, and what could not be compared.
// Fixed test files are not compared with the data that is trained on.
func (f *F) beyond(ctx context.Context, p *state.Pipeline, o events.Object, part *table.Profile) (broken, untested []events.Problem, err error) {
	rules := p.Config.Spec.Data.Compare
	if rules.Rows == nil && rules.PSI == nil && rules.Nulls == nil || p.Config.HoldsOut(o.Bucket, o.Key) {
		return nil, nil, nil
	}
	var before []*state.Partition
	for _, m := range p.Dataset.Partitions {
		if m.Object.Name() != o.Name() && !p.Config.HoldsOut(m.Object.Bucket, m.Object.Key) {
			before = append(before, m)
		}
	}
	if n := rules.Partitions; n > 0 {
		before = before[max(0, len(before)-n):]
	}
	if len(before) == 0 {
		return nil, nil, nil
	}
	var profiles []*table.Profile
	for _, m := range before {
		profile, err := f.profile(ctx, m.Profile)
		if err != nil {
			return nil, nil, err
		}
		profiles = append(profiles, profile)
	}
	all, err := table.Merge(profiles...)
	if err != nil {
		return nil, nil, fmt.Errorf("merge the profiles to compare with: %w", err)
	}
	b := bounds{rules, rest{len(before), all}, part, nil}
	for _, check := range append([]func() *events.Problem{b.rows}, b.columns(p.Config.Compared())...) {
		if problem := check(); problem != nil {
			problem.Reason += "; if this is as intended, change data.compare and upload the file again"
			broken = append(broken, *problem)
		}
	}
	return broken, b.untested, nil
}

// bounds compares a partition with those before it.
type bounds struct {
	config.Compare
	rest
	part *table.Profile
	// untested are the columns that could not be compared.
	untested []events.Problem
}

// before names what the partition is compared with.
func (b *bounds) before() string {
	switch {
	case b.partitions == 1:
		return "the partition before"
	case b.Partitions > 0:
		return fmt.Sprintf("the %d partitions before", b.partitions)
	}
	return "the rest of the dataset"
}

func (b *bounds) rows() *events.Problem {
	if b.Rows == nil {
		return nil
	}
	mean := float64(b.profile.Rows) / float64(b.partitions)
	ratio := float64(b.part.Rows) / mean
	low, high := b.Rows.Min, b.Rows.Max
	if (low == nil || ratio >= *low) && (high == nil || ratio <= *high) {
		return nil
	}
	var allowed []string
	if low != nil {
		allowed = append(allowed, fmt.Sprintf("at least %v", *low))
	}
	if high != nil {
		allowed = append(allowed, fmt.Sprintf("at most %v", *high))
	}
	return &events.Problem{
		Check: "compare-rows", Count: b.part.Rows,
		Reason: fmt.Sprintf("%s, %.3g times the mean of %s (%s); allowed: %s",
			humanize.Count(b.part.Rows, "row"), ratio, b.before(), humanize.Int(int64(mean)), strings.Join(allowed, ", ")),
	}
}

// columns returns the checks of columns that both sides have with one type.
func (b *bounds) columns(names []string) (checks []func() *events.Problem) {
	for _, name := range names {
		was, is := b.profile.Column(name), b.part.Column(name)
		if was == nil || is == nil || was.Type != is.Type {
			continue // the contract has changed; warnings say so
		}
		checks = append(checks,
			func() *events.Problem { return b.nulls(was, is) },
			func() *events.Problem { return b.psi(was, is) },
		)
	}
	return checks
}

func (b *bounds) nulls(was, is *table.ColumnProfile) *events.Problem {
	before, now := was.NullShare(), is.NullShare()
	if b.Nulls == nil || now-before <= *b.Nulls {
		return nil
	}
	return &events.Problem{
		Check: "compare-nulls", Column: is.Name, Count: is.Nulls, Fraction: now, Allowed: before + *b.Nulls,
		Reason: fmt.Sprintf("%s are missing, where it is %s in %s; allowed: a rise of %s", table.Percent(now), table.Percent(before), b.before(), table.Percent(*b.Nulls)),
	}
}

func (b *bounds) psi(was, is *table.ColumnProfile) *events.Problem {
	if b.PSI == nil || was.Count == 0 || is.Count == 0 {
		return nil
	}
	psi, cells, err := table.PSI(was, is, psiBins)
	if err != nil {
		b.untested = append(b.untested, events.Problem{Check: "compare-psi", Column: is.Name, Reason: "not compared: " + err.Error()})
		return nil
	}
	if psi <= *b.PSI || psi <= table.PSIByChance(cells, was.Count, is.Count) {
		return nil
	}
	return &events.Problem{
		Check: "compare-psi", Column: is.Name, Count: b.part.Rows,
		Reason: fmt.Sprintf("the distribution differs from that of %s: a PSI of %.3g%s; allowed: %v", b.before(), psi, moved(was, is), *b.PSI),
	}
}

// moved says how a column differs: by its mean, or the value whose share has
// risen most.
func moved(was, is *table.ColumnProfile) string {
	if was.Mean != nil && is.Mean != nil && was.Type != table.Bool {
		return fmt.Sprintf(" (mean %.4g, before %.4g)", *is.Mean, *was.Mean)
	}
	shares := map[any][2]float64{}
	for side, c := range []*table.ColumnProfile{was, is} {
		for v, n := range c.Values() {
			s := shares[v]
			s[side] = float64(n) / float64(c.Count)
			shares[v] = s
		}
	}
	var most any
	rise := func(v any) float64 { return shares[v][1] - shares[v][0] }
	for v := range is.Values() {
		if most == nil || rise(v) > rise(most) {
			most = v
		}
	}
	if most == nil {
		return ""
	}
	return fmt.Sprintf(" (%v: %s, before %s)", head(fmt.Sprint(most), maxShown), table.Percent(shares[most][1]), table.Percent(shares[most][0]))
}
