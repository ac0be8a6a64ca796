package onnx

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"
)

// plan is how a contract's columns reach a model's tensors and come back. It does not change.
type plan struct {
	contract Contract
	matrix   bool
	inputs   []port // one for each feature, in their order; or the one matrix
	score    port
	outputs  []Tensor // all the model has, with shapes it did not say itself
	label    port     // name "" if there is none
	labels   bool     // whether they are wanted
	classes  []string // what label numbers mean, nil if they mean themselves
	idle     slots
}

// port is an input or output in use.
type port struct {
	name     string
	datatype string
	rank     int
	width    int // values a row
}

// shape is the shape of the port's tensor for a number of rows.
func (p port) shape(rows int) ort.Shape {
	if p.rank == 1 {
		return ort.Shape{int64(rows)}
	}
	return ort.Shape{int64(rows), int64(p.width)}
}

func (p *plan) readsLabels() bool { return p.labels && p.label.name != "" }

// run scores b. The caller makes sure that session lives.
func (p *plan) run(ctx context.Context, session *ort.DynamicAdvancedSession, b *Batch, out *Scores) error {
	out.Rows, out.Width = b.Rows, p.score.width
	out.Values = slices.Grow(out.Values[:0], b.Rows*p.score.width)
	out.Labels = out.Labels[:0]
	for from := 0; from < b.Rows; from += maxRows {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := p.runRows(session, b, from, min(maxRows, b.Rows-from), out); err != nil {
			return err
		}
	}
	return nil
}

// runRows scores rows from to from+n of b and appends to out.
func (p *plan) runRows(session *ort.DynamicAdvancedSession, b *Batch, from, n int, out *Scores) error {
	s := p.idle.take(n)
	if s == nil {
		var err error
		if s, err = newSlot(session, p, n); err != nil {
			return err
		}
	}
	defer p.idle.put(s)
	for i, f := range p.contract.Features {
		c, err := b.column(i, f)
		if err != nil {
			return err
		}
		if p.matrix {
			err = s.inputs[0].fill(c, f.Type, from, n, i)
		} else {
			err = s.inputs[i].fill(c, f.Type, from, n, 0)
		}
		if err != nil {
			return err
		}
	}
	if err := session.RunWithBinding(s.binding); err != nil {
		return err
	}
	out.Values = s.score.appendTo(out.Values)
	if !p.readsLabels() {
		return nil
	}
	return p.appendLabels(s.label, out)
}

// column finds the feature f in b; usually at i, where its feature is.
func (b *Batch) column(i int, f Feature) (*Column, error) {
	if i >= len(b.Columns) || b.Columns[i].Name != f.Name {
		i = slices.IndexFunc(b.Columns, func(c Column) bool { return c.Name == f.Name })
		if i < 0 {
			return nil, fmt.Errorf("column %s is missing", f.Name)
		}
	}
	c := &b.Columns[i]
	have := 0
	switch f.Type {
	case String:
		have = len(c.Strings)
	case Int, Timestamp:
		have = len(c.Ints)
	case Float:
		have = len(c.Floats)
	case Bool:
		have = len(c.Bools)
	}
	if have != b.Rows {
		return nil, fmt.Errorf("column %s has %d values of type %s for %d rows", f.Name, have, f.Type, b.Rows)
	}
	if c.Nulls != nil && len(c.Nulls) != b.Rows {
		return nil, fmt.Errorf("column %s has %d null flags for %d rows", f.Name, len(c.Nulls), b.Rows)
	}
	return c, nil
}

// appendLabels appends the label output's values as the classes' names.
func (p *plan) appendLabels(t tensor, out *Scores) error {
	switch {
	case t.strings != nil:
		labels, err := t.strings.GetContents()
		if err != nil {
			return fmt.Errorf("read output %s: %w", p.label.name, err)
		}
		out.Labels = append(out.Labels, labels...)
	case t.bools != nil:
		for _, b := range t.bools {
			out.Labels = append(out.Labels, strconv.FormatBool(b))
		}
	default:
		for _, v := range t.ints {
			if v >= 0 && v < int64(len(p.classes)) {
				out.Labels = append(out.Labels, p.classes[v])
			} else {
				out.Labels = append(out.Labels, strconv.FormatInt(v, 10))
			}
		}
	}
	return nil
}
