package onnx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

// Probe makes sure that a model which nobody has run yet can be run: it checks the model against c, then runs it on rows
// and looks at the answers: finite numbers, probabilities that are probabilities, and the same answer for a row whatever
// rows are beside it. When ctx ends, so does a model that would run for ever.
//
// The rows are real ones, with a column for each feature, or nil for rows that are made up within what c says of the
// features. What a right model may do on made-up rows, but not on real ones, is a warning: no number for an answer, and
// a failure when c does not list the values of a string or an int.
func (m *Model) Probe(ctx context.Context, c Contract, rows *Batch) (warnings []string, err error) {
	real := rows != nil && rows.Rows > 0
	kind := "real"
	if !real {
		rows, kind = madeUp(c, measuredRows), "made-up"
	}
	if err := m.check(ctx, c, rows); err != nil {
		return nil, err
	}
	if err := checkClassNames(c, m.graph.classes); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	all, one, err := m.tryRows(ctx, rows)
	switch {
	case err == nil:
	case real || ctx.Err() != nil || !c.guesses():
		return nil, fmt.Errorf("run the model on %d %s rows: %w", rows.Rows, kind, err)
	default:
		return []string{fmt.Sprintf("the model cannot answer made-up rows, so its answers were not checked (%v); "+
			"list the values of its features in data.columns to have them checked", err)}, nil
	}
	undefined, errs := checkScores(c, m.plan.score.name, kind, all)
	if undefined != nil && !real {
		warnings, undefined = append(warnings, undefined.Error()), nil
	}
	errs = errors.Join(undefined, errs)
	if !c.BatchDependent {
		errs = errors.Join(errs, checkAlone(m.plan.score.name, all, one))
	}
	return warnings, errs
}

// guesses tells whether made-up rows may hold values that the model does not know.
func (c Contract) guesses() bool {
	return slices.ContainsFunc(c.Features, func(f Feature) bool {
		return len(f.Values) == 0 && (f.Type == String || f.Type == Int && (f.Min == nil || f.Max == nil))
	})
}

// tryRows answers the rows together, and the first of them alone.
func (m *Model) tryRows(ctx context.Context, rows *Batch) (all, one *Scores, err error) {
	whole := m.plan.whole(rows)
	err = m.trial(ctx, m.plan, whole, func(i int, v value) error {
		if name := m.runnable[i].Name; name == m.plan.score.name && !m.plan.score.shape(whole.Rows).Equals(v.GetShape()) {
			return fmt.Errorf("output %s has shape %v for %d rows, expected %v", name, v.GetShape(), whole.Rows, m.plan.score.shape(whole.Rows))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	all, one = &Scores{}, &Scores{}
	if err := m.plan.run(m.session, &Job{Context: ctx, Batch: rows, Scores: all}); err != nil {
		return nil, nil, err
	}
	if err := m.plan.run(m.session, &Job{Context: ctx, Batch: rows.first(1), Scores: one}); err != nil {
		return nil, nil, fmt.Errorf("one row: %w", err)
	}
	return all, one, nil
}

// first returns the first n rows of b.
func (b *Batch) first(n int) *Batch {
	n = min(n, b.Rows)
	out := &Batch{Rows: n}
	for _, c := range b.Columns {
		out.Columns = append(out.Columns, Column{
			Name: c.Name, Strings: leading(c.Strings, n), Ints: leading(c.Ints, n), Floats: leading(c.Floats, n),
			Bools: leading(c.Bools, n), Nulls: leading(c.Nulls, n),
		})
	}
	return out
}

// leading returns the first n values of a column, nil if values is nil.
func leading[T any](values []T, n int) []T { return values[:min(n, len(values))] }

// checkScores looks at the values of a score output. What is no number is apart from what else is wrong.
func checkScores(c Contract, output, kind string, s *Scores) (undefined, wrong error) {
	for i := range s.Rows {
		row, sum := s.Row(i), 0.0
		for _, v := range row {
			sum += v
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			if undefined == nil {
				undefined = fmt.Errorf("output %s is %v for a %s row: a model must answer numbers", output, row, kind)
			}
			continue
		}
		if c.Task == Regression {
			continue
		}
		if slices.ContainsFunc(row, func(v float64) bool { return v < -1e-6 || v > 1+1e-6 }) {
			return undefined, fmt.Errorf("output %s is %v for a %s row: probabilities are from 0 to 1%s", output, row, kind, activationHint(c))
		}
		if math.Abs(sum-1) > 1e-3 {
			return undefined, fmt.Errorf("output %s is %v for a %s row: the probabilities of all classes make 1 together, not %.4g", output, row, kind, sum)
		}
	}
	return undefined, nil
}

// activationHint says what to do about scores that are no probabilities.
func activationHint(c Contract) string {
	switch {
	case c.Activation != "":
		return ""
	case len(c.Classes) == 2:
		return "; if these are logits, the pipeline says so: model.activation is sigmoid for one value a row, softmax for one a class"
	}
	return "; if these are logits, the pipeline says so: model.activation is softmax"
}

// checkAlone compares the first row's answer among others with its answer alone.
func checkAlone(output string, all, one *Scores) error {
	for i, v := range one.Row(0) {
		if math.Abs(v-all.Row(0)[i]) > 1e-4*max(1, math.Abs(v)) {
			return fmt.Errorf("output %s is %v for a row alone and %v for the same row among others: a row's answer must not depend on the rows beside it; "+
				"if it must, say why in model.batch_dependent", output, one.Row(0), all.Row(0))
		}
	}
	return nil
}

// value is an output that ONNX Runtime has allocated.
type value = ort.Value

// trial runs the model so that it may allocate outputs of whatever shape, and so that ctx can end it. see gets each
// output of m.runnable. The caller makes sure that the session lives.
func (m *Model) trial(ctx context.Context, p *plan, b *Batch, see func(i int, v value) error) error {
	inputs := map[string]*tensor{}
	defer func() {
		for _, t := range inputs {
			_ = t.value.Destroy()
		}
	}()
	for i, f := range p.contract.Features {
		c, err := b.column(i, f)
		if err != nil {
			return err
		}
		at, in := 0, p.inputs[0]
		if p.matrix {
			at = i
		} else {
			in = p.inputs[i]
		}
		if inputs[in.name] == nil {
			t, err := newTensor(in, b.Rows)
			if err != nil {
				return err
			}
			inputs[in.name] = &t
		}
		if err := inputs[in.name].fill(c, f, 0, b.Rows, 0, at); err != nil {
			return err
		}
	}
	values := make([]value, len(m.graph.inputs))
	for i, t := range m.graph.inputs {
		values[i] = inputs[t.Name].value
	}
	outputs := make([]value, len(m.runnable))
	if err := runUntil(ctx, m.session, values, outputs); err != nil {
		return err
	}
	var errs []error
	for i, v := range outputs {
		errs = append(errs, see(i, v))
		_ = v.Destroy()
	}
	return errors.Join(errs...)
}

// runUntil runs the session, and ends the run when ctx does.
func runUntil(ctx context.Context, session *ort.DynamicAdvancedSession, inputs, outputs []value) error {
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = options.Terminate()
	})
	err = session.RunWithOptions(inputs, outputs, options)
	if !stop() {
		<-ended // options must live until then
	}
	_ = options.Destroy()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("it did not end in time: %w", context.Cause(ctx))
	}
	return err
}
