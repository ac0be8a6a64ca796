package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/metric"
)

// gating applies the gates to one sample after the other.
type gating struct {
	c       *evaluation
	without string // why there is no champion to compare with
	bounds  []*bound
}

// bound is a rule with its verdicts so far.
type bound struct {
	rule
	verdicts []events.Verdict // one on all rows, or one for each slice
	p        []float64        // of each verdict on a slice
	small    int              // slices with too few rows
	unknown  int              // slices without a value of the metric
}

func newGating(c *evaluation) *gating {
	j := &gating{c: c}
	switch {
	case c.champion != nil:
		j.without = fmt.Sprintf("champion v%d cannot run on this hold-out, so there is nothing to compare with", c.champion.Version)
	case c.model.Served:
		j.without = "the version is itself the champion"
	default:
		j.without = "no champion yet"
	}
	for _, g := range c.config.Spec.Evaluate.Gates {
		for _, r := range rules(g) {
			j.bounds = append(j.bounds, &bound{rule: r})
		}
	}
	return j
}

func (j *gating) whole(s sample) {
	for _, b := range j.bounds {
		if b.gate.Slice == "" {
			v, _ := b.apply(s, j.without)
			b.verdicts = append(b.verdicts, v)
		}
	}
}

func (j *gating) slice(s sample) {
	for _, b := range j.bounds {
		if b.gate.Slice != s.column {
			continue
		}
		switch {
		case int64(s.rows) < b.gate.MinRows:
			b.small++
			continue
		case s.metric(b.gate.Metric).why != nil:
			b.unknown++
			continue
		}
		v, p := b.apply(s, j.without)
		b.verdicts, b.p = append(b.verdicts, v), append(b.p, p)
	}
}

// correct decides a comparison in many slices: it fails if some slice is worse
// than the champion by more than the margin, after Holm's correction for as
// many tests. What too few rows decide is listed and does not fail: a test of
// each slice alone would reject an equal model nearly always.
func (b *bound) correct() {
	if b.kind != notWorse || b.gate.Slice == "" {
		return
	}
	for i, p := range metric.Holm(b.p) {
		v := &b.verdicts[i]
		if v.Method == "" {
			continue // there was no champion to compare with
		}
		worse := p <= 1-b.gate.Champion.Confidence
		v.Undecided = !worse && !v.Passed
		if worse {
			v.Passed = false
			v.Reason += fmt.Sprintf(" (p %.2g of %s by Holm)", p, humanize.Count(len(b.p), "slice"))
		}
	}
}

// sliceVerdict summarizes a rule's verdicts on slices.
func (b *bound) sliceVerdict() events.Verdict {
	v := events.Verdict{Gate: b.text(), Metric: b.gate.Metric, Slice: b.gate.Slice}
	var worst *events.Verdict
	failed, undecided := 0, 0
	for i := range b.verdicts {
		of := &b.verdicts[i]
		if worst == nil || b.better(worst.Value, of.Value) {
			worst = of
		}
		switch {
		case of.Undecided && b.kind == notWorse:
			undecided++
		case !of.Passed:
			failed++
		}
		v.Level, v.Method = of.Level, of.Method
		v.Rows += of.Rows
	}
	v.Passed = failed == 0
	judged := len(b.verdicts)
	var left []string
	if undecided > 0 {
		left = append(left, fmt.Sprintf("%d with too few rows to tell", undecided))
	}
	if b.small > 0 {
		left = append(left, fmt.Sprintf("%d with fewer than %s", b.small, humanize.Count(b.gate.MinRows, "row")))
	}
	if b.unknown > 0 {
		left = append(left, fmt.Sprintf("%d where %s has no value", b.unknown, b.gate.Metric))
	}
	switch {
	case worst == nil:
		v.Reason = fmt.Sprintf("no %s is large enough for a verdict", b.gate.Slice)
	case failed == 0 && b.kind == notWorse && v.Method != "":
		v.Value, v.Bound = worst.Value, worst.Bound
		v.Reason = fmt.Sprintf("%s of %s is worse than the champion, the worst is %s with %s", none(judged, "value"), b.gate.Slice, worst.Slice, humanize.Metric(worst.Value))
	case failed == 0:
		v.Value, v.Bound = worst.Value, worst.Bound
		v.Reason = fmt.Sprintf("%s of %s passed, the worst is %s with %s", all(judged, "value"), b.gate.Slice, worst.Slice, humanize.Metric(worst.Value))
	default:
		v.Value, v.Bound = worst.Value, worst.Bound
		v.Reason = fmt.Sprintf("%s of %s failed, the worst is %s with %s", part(failed, judged, "value"), b.gate.Slice, worst.Slice, humanize.Metric(worst.Value))
	}
	if left != nil {
		v.Reason += "; without a verdict: " + strings.Join(left, ", ")
	}
	return v
}

// told are the verdicts that the report lists: of slices those that did not pass.
func (b *bound) told() []events.Verdict {
	if b.gate.Slice == "" {
		return b.verdicts
	}
	return slices.DeleteFunc(slices.Clone(b.verdicts), func(v events.Verdict) bool { return v.Passed || v.Undecided && b.kind == notWorse })
}

// sumUp completes the verdicts, and returns whether the version is approved and why, in one sentence.
func (j *gating) sumUp(whole sample) (approved bool, reason string) {
	var failures []events.Verdict
	for _, b := range j.bounds {
		first := len(j.c.report.Verdicts)
		if b.correct(); b.gate.Slice != "" {
			j.c.report.Verdicts = append(j.c.report.Verdicts, b.sliceVerdict())
		}
		j.c.report.Verdicts = append(j.c.report.Verdicts, b.told()...)
		if v := j.c.report.Verdicts[first]; !v.Passed {
			failures = append(failures, v)
		}
	}
	rows := humanize.Count(whole.rows, "row")
	if out := j.c.report.Unlabelled + j.c.report.Foreign; out > 0 {
		rows += fmt.Sprintf(" (%d without a label left out)", out)
	}
	switch {
	case len(failures) > 0:
		reason = fmt.Sprintf("%s failed on %s: %s", part(len(failures), len(j.bounds), "gate"), rows, failures[0].Reason)
		if more := len(failures) - 1; more > 0 {
			reason += fmt.Sprintf("; and %d more", more)
		}
	case len(j.bounds) == 0:
		reason = fmt.Sprintf("no gates; on %s: %s", rows, j.headline(whole))
	default:
		reason = fmt.Sprintf("%s passed on %s: %s", all(len(j.bounds), "gate"), rows, j.headline(whole))
	}
	return len(failures) == 0, reason
}

// headline returns the first metric that has a value, with the champion's.
func (j *gating) headline(whole sample) string {
	for _, m := range whole.metrics {
		switch {
		case m.why != nil:
		case m.champion != nil:
			return fmt.Sprintf("%s %s against %s of champion v%d", m.name, humanize.Metric(m.candidate.Value), humanize.Metric(m.champion.Value), j.c.champion.Version)
		default:
			return fmt.Sprintf("%s %s, %s", m.name, humanize.Metric(m.candidate.Value), j.without)
		}
	}
	return "no metric has a value"
}
