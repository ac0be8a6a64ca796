package onnx

import (
	"context"
	"errors"
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"
)

// Probe makes sure that a model which nobody has run yet can be run: it checks the model against c, then runs it on a
// few made-up rows and looks at the answers: shape, finite numbers, probabilities that are some, and the same answer
// for a row whatever rows are beside it. When ctx ends, so does a model that would run for ever.
func (m *Model) Probe(ctx context.Context, c Contract) error {
	if err := m.Check(c); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	const rows = 3
	// The first run is one that ctx can end; Score's can't be.
	b := sampleRows(c, rows)
	err := m.trial(ctx, m.plan, b, func(i int, v value) error {
		if name := m.runnable[i].Name; name == m.plan.score.name && !m.plan.score.shape(rows).Equals(v.GetShape()) {
			return fmt.Errorf("output %s has shape %v for %d rows, expected %v", name, v.GetShape(), rows, m.plan.score.shape(rows))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("run the model on %d made-up rows: %w", rows, err)
	}
	var all Scores
	if err := m.plan.run(ctx, m.session, b, &all); err != nil {
		return fmt.Errorf("run the model on %d made-up rows: %w", rows, err)
	}
	var one Scores
	if err := m.plan.run(ctx, m.session, sampleRows(c, 1), &one); err != nil {
		return fmt.Errorf("run the model on a made-up row: %w", err)
	}
	return errors.Join(checkScores(c, m.plan.score.name, &all), checkAlone(m.plan.score.name, &all, &one))
}

// checkScores looks at the values of a score output.
func checkScores(c Contract, output string, s *Scores) error {
	for i := range s.Rows {
		row, sum := s.Row(i), 0.0
		for _, v := range row {
			sum += v
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("output %s is %v for a made-up row: a model must answer numbers", output, row)
			}
			if c.Task != Regression && (v < -1e-6 || v > 1+1e-6) {
				return fmt.Errorf("output %s is %v for a made-up row: probabilities are from 0 to 1", output, row)
			}
		}
		if c.Task != Regression && math.Abs(sum-1) > 1e-3 {
			return fmt.Errorf("output %s is %v for a made-up row: the probabilities of all classes make 1 together, not %.4g", output, row, sum)
		}
	}
	return nil
}

// checkAlone compares the first row's answer among others with its answer alone.
func checkAlone(output string, all, one *Scores) error {
	for i, v := range one.Row(0) {
		if math.Abs(v-all.Row(0)[i]) > 1e-4*max(1, math.Abs(v)) {
			return fmt.Errorf("output %s is %v for a row alone and %v for the same row among others: a row's answer must not depend on the rows beside it",
				output, one.Row(0), all.Row(0))
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
		if err := inputs[in.name].fill(&b.Columns[i], f.Type, 0, b.Rows, 0, at); err != nil {
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

// sampleRows makes up rows: small numbers, both truths, and of the strings that are allowed the first.
func sampleRows(c Contract, rows int) *Batch {
	b := &Batch{Rows: rows, Columns: make([]Column, len(c.Features))}
	for i, f := range c.Features {
		col := Column{Name: f.Name}
		for r := range rows {
			switch f.Type {
			case String:
				s := string(rune('a' + r%26))
				if len(f.Values) > 0 {
					s = f.Values[r%len(f.Values)]
				}
				col.Strings = append(col.Strings, s)
			case Int:
				col.Ints = append(col.Ints, int64(r%2))
			case Float:
				col.Floats = append(col.Floats, float64(r)/2)
			case Bool:
				col.Bools = append(col.Bools, r%2 == 1)
			case Timestamp:
				col.Ints = append(col.Ints, int64(r)*3_600_000_000)
			}
		}
		b.Columns[i] = col
	}
	return b
}
