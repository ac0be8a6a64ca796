package evaluate

import (
	"fmt"
	"math"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/metric"
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

// rules returns a gate's bounds.
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
		text += bound
		switch margin := r.gate.Champion.Margin; {
		case margin == nil:
			text += sign + "the margin"
		case *margin > 0:
			text += fmt.Sprintf("%s%v", sign, *margin)
		}
	}
	if r.gate.Confidence > 0 && r.kind != notWorse {
		text += " with " + percent(r.gate.Confidence)
	}
	if r.gate.Slice != "" {
		text += " in every " + r.gate.Slice
	}
	return text
}

// apply applies the rule to the sample. Where there is no champion to compare with, a rule against the champion passes, and
// without is its reason. p is the p-value of "worse than the champion by more than the margin", 1 without a comparison.
func (r rule) apply(s sample, without string) (v events.Verdict, p float64) {
	v = events.Verdict{Gate: r.text(), Metric: r.gate.Metric, Rows: int64(s.rows)}
	where := ""
	if s.column != "" {
		v.Slice = s.column + "=" + s.value
		where = fmt.Sprintf("%s (%s): ", v.Slice, humanize.Count(s.rows, "row"))
	}
	m := s.metric(r.gate.Metric)
	if m.why != nil {
		v.Reason = where + m.why.Error()
		return v, 1
	}
	v.Value = m.candidate.Value
	p = 1
	switch {
	case r.kind != notWorse:
		r.limit(&v, m)
	case m.champion == nil:
		v.Passed, v.Reason = true, without
	default:
		p = r.compare(&v, m)
	}
	v.Reason = where + v.Reason
	return v, p
}

// limit holds the value, or its bound where the gate has a confidence, against min or max.
func (r rule) limit(v *events.Verdict, m measured) {
	value, said := v.Value, fmt.Sprintf("%s is %s", m.name, humanize.Metric(v.Value))
	if r.gate.Confidence > 0 {
		b := m.bound(r.gate.Confidence)
		v.Level = r.gate.Confidence
		if !b.ok {
			v.Bound, v.Undecided = r.bound(), true
			v.Reason = fmt.Sprintf("%s, but too few rows carry that value to bound it with %s", said, percent(r.gate.Confidence))
			return
		}
		v.Low, v.High = &b.low, &b.high
		if r.kind == atLeast {
			value, said = b.low, fmt.Sprintf("%s and at least %s with %s", said, humanize.Metric(b.low), percent(r.gate.Confidence))
		} else {
			value, said = b.high, fmt.Sprintf("%s and at most %s with %s", said, humanize.Metric(b.high), percent(r.gate.Confidence))
		}
	}
	v.Bound = r.bound()
	if r.kind == atLeast {
		v.Passed = value >= v.Bound
		v.Reason = said + ", " + either(v.Passed, fmt.Sprintf("at least %v is required", v.Bound), fmt.Sprintf("below the required %v", v.Bound))
		return
	}
	v.Passed = value <= v.Bound
	v.Reason = said + ", " + either(v.Passed, fmt.Sprintf("at most %v is allowed", v.Bound), fmt.Sprintf("above the allowed %v", v.Bound))
}

// bound is the gate's min or max.
func (r rule) bound() float64 {
	if r.kind == atLeast {
		return *r.gate.Min
	}
	return *r.gate.Max
}

// leastMargin is the margin of a gate that names none, unless half of the champion's standard error is more.
const leastMargin = 0.005

// margin returns how much worse than the champion passes.
func (r rule) margin(champion events.Metric) float64 {
	if r.gate.Champion.Margin != nil {
		return *r.gate.Champion.Margin
	}
	return max(leastMargin, champion.StdErr/2)
}

// compare is the test of non-inferiority. It returns the p-value of "worse by more than the margin".
func (r rule) compare(v *events.Verdict, m measured) float64 {
	margin, confidence := r.margin(*m.champion), r.gate.Champion.Confidence
	v.Bound = m.champion.Value - margin
	if config.LowerIsBetter(m.name) {
		v.Bound = m.champion.Value + margin
	}
	c := m.gain.NotWorseBy(margin, confidence)
	v.Passed, v.Undecided = c.Outcome == metric.NotWorse, c.Outcome == metric.Undecided
	v.Level, v.Method, v.Needed = confidence, c.Method, int64(c.Needed)
	if !math.IsNaN(c.Lower) {
		v.Low, v.High = &c.Lower, &c.Upper
	}
	v.Reason = fmt.Sprintf("%s is %s against %s of the champion", m.name, humanize.Metric(m.candidate.Value), humanize.Metric(m.champion.Value))
	allowed := humanize.Metric(margin) + " is allowed"
	if r.gate.Champion.Margin != nil {
		allowed = fmt.Sprintf("%v is allowed", margin)
	}
	enough := ""
	if c.Needed > 0 {
		enough = fmt.Sprintf("; about %s would decide it", humanize.Count(c.Needed, "row"))
	}
	switch {
	case c.Outcome == metric.NotWorse && c.Lower > 0:
		v.Reason += fmt.Sprintf(", better by at least %s with %s", humanize.Metric(c.Lower), percent(confidence))
	case c.Outcome == metric.NotWorse && c.Lower == 0 && m.gain.Value == 0:
		v.Reason += ", the same"
	case c.Outcome == metric.NotWorse:
		v.Reason += fmt.Sprintf(", worse by at most %s with %s; %s", humanize.Metric(-c.Lower), percent(confidence), allowed)
	case c.Outcome == metric.Worse:
		v.Reason += fmt.Sprintf(", worse by at least %s with %s; %s", humanize.Metric(-c.Upper), percent(confidence), allowed)
	case c.Short:
		v.Reason += ", but the evidence is short: the difference comes from too few rows to be told from chance" + enough
	default:
		v.Reason += fmt.Sprintf(", but there is too little evidence: with %s it may be worse by %s, and %s%s", percent(confidence), humanize.Metric(-c.Lower), allowed, enough)
	}
	return c.P
}

// percent writes a confidence: "95 % confidence".
func percent(confidence float64) string {
	return fmt.Sprintf("%v %% confidence", math.Round(1000*confidence)/10)
}

// better reports whether a is further from breaking the rule than b.
func (r rule) better(a, b float64) bool {
	if r.kind == atMost || r.kind == notWorse && config.LowerIsBetter(r.gate.Metric) {
		return a < b
	}
	return a > b
}
