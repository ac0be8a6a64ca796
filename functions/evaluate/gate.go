package evaluate

import (
	"fmt"
	"math"

	"millrace.dev/config"
	"millrace.dev/events"
)

// rule is one bound of a gate.
type rule struct {
	gate config.Gate
	kind ruleKind
}

type ruleKind int

const (
	atLeast ruleKind = iota
	atMost
	notWorse // than the champion
)

// rules takes a gate apart into its bounds.
func rules(g config.Gate) []rule {
	var rs []rule
	if g.Min != nil {
		rs = append(rs, rule{g, atLeast})
	}
	if g.Max != nil {
		rs = append(rs, rule{g, atMost})
	}
	if g.Champion != nil {
		rs = append(rs, rule{g, notWorse})
	}
	return rs
}

// text is the rule in short: "roc_auc >= 0.65".
func (r rule) text() string {
	text := r.gate.Metric
	switch r.kind {
	case atLeast:
		text += fmt.Sprintf(" >= %v", *r.gate.Min)
	case atMost:
		text += fmt.Sprintf(" <= %v", *r.gate.Max)
	case notWorse:
		bound, sign := " >= champion", " - "
		if config.LowerIsBetter(r.gate.Metric) {
			bound, sign = " <= champion", " + "
		}
		if text += bound; r.gate.Champion.Margin > 0 {
			text += fmt.Sprintf("%s%v", sign, r.gate.Champion.Margin)
		}
	}
	if r.gate.Slice != "" {
		text += " in every " + r.gate.Slice
	}
	return text
}

// apply holds the sample against the rule. without says why there is no
// champion to compare with, if there is none.
func (r rule) apply(s sample, without string) events.Verdict {
	v := events.Verdict{Gate: r.text(), Metric: r.gate.Metric}
	where := ""
	if s.column != "" {
		v.Slice = s.column + "=" + s.value
		where = fmt.Sprintf("%s (%s): ", v.Slice, count(s.rows, "row"))
	}
	m := s.metric(r.gate.Metric)
	if m.why != nil {
		v.Reason = where + m.why.Error()
		return v
	}
	v.Value = m.candidate.Value
	reason := ""
	switch r.kind {
	case atLeast:
		v.Bound = *r.gate.Min
		v.Passed = v.Value >= v.Bound
		reason = fmt.Sprintf("%s is %s, %s", m.name, show(v.Value), either(v.Passed,
			fmt.Sprintf("at least %v is asked for", v.Bound), fmt.Sprintf("below the %v that is asked for", v.Bound)))
	case atMost:
		v.Bound = *r.gate.Max
		v.Passed = v.Value <= v.Bound
		reason = fmt.Sprintf("%s is %s, %s", m.name, show(v.Value), either(v.Passed,
			fmt.Sprintf("at most %v is allowed", v.Bound), fmt.Sprintf("above the %v that is allowed", v.Bound)))
	case notWorse:
		if m.champion == nil {
			v.Passed = true
			reason = without
			break
		}
		v.Bound, v.Passed, reason = r.compare(m, s.rows)
	}
	v.Reason = where + reason
	return v
}

// compare is the test of non-inferiority.
func (r rule) compare(m measured, rows int) (bound float64, passed bool, reason string) {
	margin, confidence := r.gate.Champion.Margin, r.gate.Champion.Confidence
	bound = m.champion.Value - margin
	if config.LowerIsBetter(m.name) {
		bound = m.champion.Value + margin
	}
	worst := m.gain.AtLeast(confidence)
	reason = fmt.Sprintf("%s is %s against %s of the champion", m.name, show(m.candidate.Value), show(m.champion.Value))
	sure := fmt.Sprintf("%v %% confidence", math.Round(1000*confidence)/10)
	allowed := fmt.Sprintf("%v is allowed", margin)
	switch {
	case worst > 0:
		return bound, true, fmt.Sprintf("%s, better by at least %s with %s", reason, show(worst), sure)
	case worst == 0 && m.gain.Value == 0:
		return bound, true, reason + ", the same"
	case worst >= -margin:
		return bound, true, fmt.Sprintf("%s, worse by at most %s with %s; %s", reason, show(-worst), sure, allowed)
	case m.gain.Value < -margin:
		return bound, false, fmt.Sprintf("%s, worse by %s; %s", reason, show(-m.gain.Value), allowed)
	}
	return bound, false, fmt.Sprintf("%s, but the evidence is short: with %s it may be worse by %s, and %s; more than %s of hold-out would tell",
		reason, sure, show(-worst), allowed, count(rows, "row"))
}

// better tells whether a is further from breaking the rule than b.
func (r rule) better(a, b float64) bool {
	if r.kind == atMost || r.kind == notWorse && config.LowerIsBetter(r.gate.Metric) {
		return a < b
	}
	return a > b
}
