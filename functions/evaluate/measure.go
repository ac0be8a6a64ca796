package evaluate

import (
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/metric"
)

// defaultConfidence is that of bounds for which no gate asks for another one.
const defaultConfidence = 0.95

// sample is what was measured on some rows: the whole hold-out, or a slice.
type sample struct {
	column, value string // of a slice
	rows          int
	metrics       []measured
}

// measured is one metric of both models on the same rows.
type measured struct {
	name      string
	candidate events.Metric
	champion  *events.Metric
	gain      metric.Gain // of the candidate over the champion
	why       error       // there is no value
}

func (s sample) metric(name string) measured {
	return s.metrics[slices.IndexFunc(s.metrics, func(m measured) bool { return m.name == name })]
}

// metricNames are the metrics to be measured: those that the pipeline lists
// and those that its gates look at.
func metricNames(e config.Evaluate) []string {
	names := slices.Clone(e.Metrics)
	for _, g := range e.Gates {
		if !slices.Contains(names, g.Metric) {
			names = append(names, g.Metric)
		}
	}
	return names
}

// confidence is that of a metric's bounds: the gates', or the usual.
func confidence(e config.Evaluate, name string) float64 {
	for _, g := range e.Gates {
		if g.Metric == name && g.Champion != nil && g.Slice == "" {
			return g.Champion.Confidence
		}
	}
	return defaultConfidence
}

// measure measures both models on the same rows. One metric at a time, since
// an estimate holds a number for each row.
func (c *evaluation) measure(candidate, champion metric.Answers) sample {
	s := sample{rows: candidate.Rows()}
	for _, name := range metricNames(c.config.Spec.Evaluate) {
		m := measured{name: name}
		var a, b metric.Estimate
		if a, m.why = candidate.Measure(name); m.why == nil {
			conf := confidence(c.config.Spec.Evaluate, name)
			m.candidate = eventMetric(a, conf)
			if champion != nil {
				// It has a value too, since that hangs on the labels alone.
				if b, m.why = champion.Measure(name); m.why == nil {
					of := eventMetric(b, conf)
					m.champion, m.gain = &of, metric.Compare(a, b)
					m.candidate.Gain = &events.Gain{Value: m.gain.Value, StdErr: m.gain.StdErr}
				}
			}
		}
		s.metrics = append(s.metrics, m)
	}
	return s
}

func eventMetric(e metric.Estimate, confidence float64) events.Metric {
	stdErr := e.StdErr()
	low, high := metric.Interval(e.Name, e.Value, stdErr, confidence)
	return events.Metric{Name: e.Name, Value: e.Value, Low: &low, High: &high, StdErr: stdErr}
}

// scores gives the metrics of the sample as the events have them.
func (s sample) scores() (candidate, champion []events.Metric) {
	for _, m := range s.metrics {
		if m.why != nil {
			continue
		}
		candidate = append(candidate, m.candidate)
		if m.champion != nil {
			champion = append(champion, *m.champion)
		}
	}
	return candidate, champion
}

// judged measures the models and applies the gates.
func (c *evaluation) judged(h *holdout) *events.EvaluationReport {
	r := &c.report
	r.Rows, r.Unlabelled, r.Foreign, r.Scores = int64(h.rows()), h.unlabelled, h.foreign, h.scores
	if h.foreign > 0 {
		c.note("%s of the hold-out have a label that is none of the two classes and were left out", count(int(h.foreign), "row"))
	}
	candidate := h.candidate.measurable(h)
	var champion metric.Answers
	if h.champion != nil {
		champion = h.champion.measurable(h)
		r.Champion = &events.Score{Version: c.champion.Version}
	}
	j := newJudge(c)
	whole := c.measure(candidate, champion)
	j.whole(whole)
	var of []events.Metric
	if r.Score.Metrics, of = whole.scores(); champion != nil {
		r.Champion.Metrics = of
	}
	for _, m := range whole.metrics {
		if m.why != nil {
			c.note("%s", m.why)
		}
	}
	for i := range h.slices {
		slices, all := h.slices[i].slices()
		if all > len(slices) {
			c.note("%s has %d values; the %d with most rows were looked at", h.slices[i].name, all, len(slices))
		}
		for _, sl := range slices {
			var other metric.Answers
			if champion != nil {
				other = champion.Pick(sl.rows)
			}
			s := c.measure(candidate.Pick(sl.rows), other)
			s.column, s.value = sl.column, sl.value
			j.slice(s)
			c.sliceScore(s)
		}
	}
	return c.finish(j.sumUp(whole))
}

// sliceScore adds a slice's figures to the report.
func (c *evaluation) sliceScore(s sample) {
	mine, theirs := s.scores()
	c.report.Score.Slices = append(c.report.Score.Slices, events.SliceScore{Column: s.column, Value: s.value, Rows: int64(s.rows), Metrics: mine})
	if c.report.Champion != nil {
		c.report.Champion.Slices = append(c.report.Champion.Slices, events.SliceScore{Column: s.column, Value: s.value, Rows: int64(s.rows), Metrics: theirs})
	}
}
