package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/metric"
)

// errNoValue replaces the reason why a slice has no value of a metric: reports do not contain it.
var errNoValue = errors.New("it has no value")

// reevaluate applies the gates to the report of the version's last evaluation, if that has the same hold-out and champion and
// every metric that the gates need: when only gates have changed, nothing is measured again. The result is the same as from
// measuring. It is nil when the report is not sufficient.
func (f *F) reevaluate(ctx context.Context, c *evaluation) (*events.EvaluationReport, error) {
	last := c.model.Evaluation
	if last == nil || last.Report.IsZero() || c.holdout.IsZero() || last.Holdout.Digest != c.holdout.Digest {
		return nil, nil
	}
	raw, err := f.deps.Artifacts.Bytes(ctx, last.Report, maxReportBytes)
	if errors.Is(err, artifact.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var was events.EvaluationReport
	if json.Unmarshal(raw, &was) != nil || !c.suffices(&was) {
		return nil, nil
	}
	then, err := f.configured(ctx, c.config.Name(), was.Config)
	if err != nil || then == nil || !sameModel(then, c.config) {
		return nil, err
	}
	return c.reevaluated(&was), nil
}

// sameModel reports whether both configurations have the same model inputs and outputs.
func sameModel(a, b *config.Pipeline) bool {
	of := func(p *config.Pipeline) []byte {
		raw, err := json.Marshal([]any{p.Spec.Data, p.Spec.Model})
		if err != nil {
			return nil
		}
		return raw
	}
	return bytes.Equal(of(a), of(b))
}

// suffices reports whether the report has every metric that is needed.
func (c *evaluation) suffices(was *events.EvaluationReport) bool {
	if was.Rows == 0 || was.Against != c.report.Against {
		return false
	}
	for _, name := range metricNames(c.config.Spec.Evaluate) {
		m, ok := was.Score.Metric(name)
		if !ok || m.Low == nil || m.High == nil || c.asksBounds(name) {
			return false
		}
		if was.Champion != nil {
			if _, ok := was.Champion.Metric(name); !ok || m.Gain == nil || m.Gain.Rows == 0 {
				return false
			}
		}
	}
	for _, column := range sliceColumns(c.config.Spec.Evaluate) {
		if !slices.ContainsFunc(was.Score.Slices, func(s events.SliceScore) bool { return s.Column == column }) {
			return false
		}
	}
	return was.Champion == nil || len(was.Champion.Slices) == len(was.Score.Slices)
}

// asksBounds reports whether a gate needs a bound of the metric's value, which
// takes the rows.
func (c *evaluation) asksBounds(name string) bool {
	return slices.ContainsFunc(c.config.Spec.Evaluate.Gates, func(g config.Gate) bool { return g.Metric == name && g.Confidence > 0 })
}

// reevaluated applies the gates to the metrics of an earlier report.
func (c *evaluation) reevaluated(was *events.EvaluationReport) *events.EvaluationReport {
	r := &c.report
	r.Rows, r.Unlabelled, r.Foreign, r.Scores = was.Rows, was.Unlabelled, was.Foreign, was.Scores
	c.notes = slices.Clone(was.Notes)
	if was.Champion != nil {
		r.Champion = &events.Score{Version: was.Champion.Version}
	}
	theirs := func(of func(*events.Score) []events.Metric) []events.Metric {
		if was.Champion == nil {
			return nil
		}
		return of(was.Champion)
	}
	j := newGating(c)
	whole := c.sampleOf(int(was.Rows), was.Score.Metrics, theirs(func(s *events.Score) []events.Metric { return s.Metrics }))
	j.whole(whole)
	var of []events.Metric
	if r.Score.Metrics, of = whole.scores(); r.Champion != nil {
		r.Champion.Metrics = of
	}
	for _, column := range sliceColumns(c.config.Spec.Evaluate) {
		for i, sl := range was.Score.Slices {
			if sl.Column != column {
				continue
			}
			s := c.sampleOf(int(sl.Rows), sl.Metrics, theirs(func(s *events.Score) []events.Metric { return s.Slices[i].Metrics }))
			s.column, s.value = sl.Column, sl.Value
			j.slice(s)
			c.sliceScore(s)
		}
	}
	return c.finish(j.sumUp(whole))
}

// sampleOf returns a sample with the metrics of a report.
func (c *evaluation) sampleOf(rows int, candidate, champion []events.Metric) sample {
	s := sample{rows: rows}
	mine, theirs := events.Score{Metrics: candidate}, events.Score{Metrics: champion}
	for _, name := range metricNames(c.config.Spec.Evaluate) {
		m := measured{name: name}
		var ok bool
		if m.candidate, ok = mine.Metric(name); !ok {
			m.why = errNoValue
			s.metrics = append(s.metrics, m)
			continue
		}
		conf := confidence(c.config.Spec.Evaluate, name)
		setBounds(&m.candidate, conf)
		if of, ok := theirs.Metric(name); ok && m.candidate.Gain != nil {
			setBounds(&of, conf)
			m.champion, m.gain = &of, gainOf(*m.candidate.Gain)
		}
		s.metrics = append(s.metrics, m)
	}
	return s
}

// setBounds sets the bounds of a value at that confidence.
func setBounds(m *events.Metric, confidence float64) {
	low, high := metric.Interval(m.Name, m.Value, m.StdErr, confidence)
	m.Low, m.High = &low, &high
}
