package evaluate

import (
	"math"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/metric"
)

// defaultConfidence is the confidence of bounds unless a gate sets another one.
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
	bounds    []valueBound
	why       error // there is no value
}

// valueBound is a one-sided bound of the candidate's value.
type valueBound struct {
	confidence float64
	low, high  float64
	ok         bool // enough rows carry the value
}

// bounds returns the bounds that the gates ask for.
func (c *evaluation) bounds(e metric.Estimate) []valueBound {
	var bounds []valueBound
	for _, g := range c.config.Spec.Evaluate.Gates {
		if g.Metric != e.Name || g.Confidence == 0 {
			continue
		}
		b := valueBound{confidence: g.Confidence}
		var high bool
		b.low, b.ok = e.AtLeast(g.Confidence)
		b.high, high = e.AtMost(g.Confidence)
		b.ok = b.ok && high
		bounds = append(bounds, b)
	}
	return bounds
}

func (m measured) bound(confidence float64) valueBound {
	for _, b := range m.bounds {
		if b.confidence == confidence {
			return b
		}
	}
	return valueBound{}
}

func (s sample) metric(name string) measured {
	return s.metrics[slices.IndexFunc(s.metrics, func(m measured) bool { return m.name == name })]
}

// metricNames returns the metrics to be measured: those that the pipeline lists
// and those in its gates.
func metricNames(e config.Evaluate) []string {
	names := slices.Clone(e.Metrics)
	for _, g := range e.Gates {
		if !slices.Contains(names, g.Metric) {
			names = append(names, g.Metric)
		}
	}
	return names
}

// confidence returns the confidence of a metric's bounds: the gates', or the default.
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
// groups has the group of each row, nil without groups.
func (c *evaluation) measure(candidate, champion metric.Answers, groups []int32) sample {
	s := sample{rows: candidate.Rows()}
	candidate = candidate.Sorted()
	if champion != nil {
		champion = champion.Sorted()
	}
	for _, name := range metricNames(c.config.Spec.Evaluate) {
		m := measured{name: name}
		var a, b metric.Estimate
		if a, m.why = candidate.Measure(name); m.why == nil {
			m.bounds = c.bounds(a)
			conf := confidence(c.config.Spec.Evaluate, name)
			m.candidate = eventMetric(a, conf)
			if champion != nil {
				// It has a value too, since that depends only on the labels.
				if b, m.why = champion.Measure(name); m.why == nil {
					of := eventMetric(b, conf)
					m.champion, m.gain = &of, metric.Compare(a, b, groups)
					m.candidate.Gain = eventGain(m.gain)
				}
			}
		}
		s.metrics = append(s.metrics, m)
	}
	return s
}

func eventMetric(e metric.Estimate, confidence float64) events.Metric {
	m := events.Metric{Name: e.Name, Value: e.Value, StdErr: e.StdErr()}
	if math.IsNaN(m.StdErr) {
		m.StdErr = 0
		return m
	}
	low, high := metric.Interval(e.Name, e.Value, m.StdErr, confidence)
	m.Low, m.High = &low, &high
	return m
}

// eventGain returns the gain as events have it, nil for a metric by which
// models cannot be compared.
func eventGain(g metric.Gain) *events.Gain {
	if math.IsNaN(g.StdErr) || math.IsInf(g.StdErr, 0) {
		return nil
	}
	of := &events.Gain{Value: g.Value, StdErr: g.StdErr, Effective: g.Effective, Rows: g.Rows}
	if g.Exact != nil {
		of.Discordant = &events.Discordant{Better: g.Exact.Better, Worse: g.Exact.Worse, Of: g.Exact.Of}
	}
	return of
}

// gainOf is the reverse of eventGain.
func gainOf(g events.Gain) metric.Gain {
	of := metric.Gain{Value: g.Value, StdErr: g.StdErr, Effective: g.Effective, Rows: g.Rows}
	if g.Discordant != nil {
		of.Exact = &metric.Discordant{Better: g.Discordant.Better, Worse: g.Discordant.Worse, Of: g.Discordant.Of}
	}
	return of
}

// scores returns the metrics of the sample as the events have them.
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

// graded measures the models and applies the gates.
func (c *evaluation) graded(h *holdout) *events.EvaluationReport {
	r := &c.report
	r.Rows, r.Unlabelled, r.Foreign, r.Scores = int64(h.rows()), h.unlabelled, h.foreign, h.scores
	if h.foreign > 0 {
		c.note("%s of the hold-out were left out: their label is not one of the two classes", humanize.Count(h.foreign, "row"))
	}
	candidate := h.candidate.measurable(h)
	var champion metric.Answers
	if h.champion != nil {
		champion = h.champion.measurable(h)
		r.Champion = &events.Score{Version: c.champion.Version}
	}
	j := newGating(c)
	whole := c.measure(candidate, champion, h.groups)
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
			s := c.measure(candidate.Pick(sl.rows), other, pickGroups(h.groups, sl.rows))
			s.column, s.value = sl.column, sl.value
			j.slice(s)
			c.sliceScore(s)
		}
	}
	return c.finish(j.sumUp(whole))
}

// sliceScore adds a slice's metrics to the report.
func (c *evaluation) sliceScore(s sample) {
	mine, theirs := s.scores()
	c.report.Score.Slices = append(c.report.Score.Slices, events.SliceScore{Column: s.column, Value: s.value, Rows: int64(s.rows), Metrics: mine})
	if c.report.Champion != nil {
		c.report.Champion.Slices = append(c.report.Champion.Slices, events.SliceScore{Column: s.column, Value: s.value, Rows: int64(s.rows), Metrics: theirs})
	}
}
