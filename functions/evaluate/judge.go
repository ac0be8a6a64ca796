package evaluate

import (
	"fmt"
	"strings"

	"millrace.dev/events"
)

// judge applies the gates to one sample after the other.
type judge struct {
	c       *evaluation
	without string // why there is no champion to compare with
	bounds  []*bound
}

// bound is a rule with what it has said.
type bound struct {
	rule
	verdicts []events.Verdict // on the whole one; on slices those that failed
	passed   int              // slices
	small    int              // slices with too few rows
	unknown  int              // slices without a value of the metric
	worst    events.Verdict   // among the slices
}

func newJudge(c *evaluation) *judge {
	j := &judge{c: c}
	switch {
	case c.champion != nil:
		j.without = fmt.Sprintf("champion v%d cannot run on this hold-out, so that there is nothing to compare with", c.champion.Version)
	case c.model.Served:
		j.without = "there is no champion but the version itself"
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

func (j *judge) whole(s sample) {
	for _, b := range j.bounds {
		if b.gate.Slice == "" {
			b.verdicts = append(b.verdicts, b.apply(s, j.without))
		}
	}
}

func (j *judge) slice(s sample) {
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
		v := b.apply(s, j.without)
		if b.passed+len(b.verdicts) == 0 || b.better(b.worst.Value, v.Value) {
			b.worst = v
		}
		if v.Passed {
			b.passed++
		} else {
			b.verdicts = append(b.verdicts, v)
		}
	}
}

// sliceVerdict sums up what a rule said of its slices.
func (b *bound) sliceVerdict() events.Verdict {
	failed := len(b.verdicts)
	judged := b.passed + failed
	v := events.Verdict{Gate: b.text(), Metric: b.gate.Metric, Slice: b.gate.Slice, Value: b.worst.Value, Bound: b.worst.Bound, Passed: failed == 0}
	var left []string
	if b.small > 0 {
		left = append(left, fmt.Sprintf("%d with fewer than %s", b.small, count(int(b.gate.MinRows), "row")))
	}
	if b.unknown > 0 {
		left = append(left, fmt.Sprintf("%d where %s has no value", b.unknown, b.gate.Metric))
	}
	var reason string
	switch {
	case judged == 0:
		reason = fmt.Sprintf("no %s is large enough to be judged", b.gate.Slice)
	case failed == 0:
		reason = fmt.Sprintf("%s of %s passed, the worst is %s with %s", all(judged, "value"), b.gate.Slice, b.worst.Slice, show(b.worst.Value))
	default:
		reason = fmt.Sprintf("%s of %s failed, the worst is %s with %s", part(failed, judged, "value"), b.gate.Slice, b.worst.Slice, show(b.worst.Value))
	}
	if left != nil {
		reason += "; not judged: " + strings.Join(left, ", ")
	}
	v.Reason = reason
	return v
}

// sumUp closes the verdicts: whether the version is approved, and why in one
// sentence.
func (j *judge) sumUp(whole sample) (approved bool, reason string) {
	var failures []events.Verdict
	for _, b := range j.bounds {
		first := len(j.c.report.Verdicts)
		if b.gate.Slice != "" {
			j.c.report.Verdicts = append(j.c.report.Verdicts, b.sliceVerdict())
		}
		j.c.report.Verdicts = append(j.c.report.Verdicts, b.verdicts...)
		if v := j.c.report.Verdicts[first]; !v.Passed {
			failures = append(failures, v)
		}
	}
	rows := count(whole.rows, "row")
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
		reason = fmt.Sprintf("there are no gates to pass; on %s: %s", rows, j.headline(whole))
	default:
		reason = fmt.Sprintf("%s passed on %s: %s", all(len(j.bounds), "gate"), rows, j.headline(whole))
	}
	return len(failures) == 0, reason
}

// headline is the first metric that has a value, beside the champion's.
func (j *judge) headline(whole sample) string {
	for _, m := range whole.metrics {
		switch {
		case m.why != nil:
		case m.champion != nil:
			return fmt.Sprintf("%s %s against %s of champion v%d", m.name, show(m.candidate.Value), show(m.champion.Value), j.c.champion.Version)
		default:
			return fmt.Sprintf("%s %s, %s", m.name, show(m.candidate.Value), j.without)
		}
	}
	return "no metric has a value"
}
