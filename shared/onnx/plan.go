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
	fixed    int    // how many rows a run has, 0 for any number: see whole
	score    port
	head     head
	named    []Tensor // the model's inputs with the names of the features that they take
	outputs  []Tensor // all the model has, with the shapes that it gives
	label    port     // name "" if the model has no label output
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

// width is how many scores a row has.
func (p *plan) width() int { return p.head.width(p.score.width) }

// run scores a job's batch. The caller makes sure that session lives.
func (p *plan) run(session *ort.DynamicAdvancedSession, j *Job) error {
	b := j.Batch
	j.Scores.reset(b.Rows, p.width())
	step := maxRows
	if p.fixed > 0 {
		step = p.fixed
	}
	for from := 0; from < b.Rows; from += step {
		if from > 0 {
			if err := j.Over(); err != nil {
				return err
			}
		} else if j.Context.Err() != nil { // the clock costs more
			return context.Cause(j.Context)
		}
		one := [1]piece{{b, j.Scores, from, min(step, b.Rows-from)}}
		if err := p.runPieces(session, []Job{*j}, one[:], one[0].n); err != nil {
			return err
		}
	}
	return nil
}

// piece is n rows of a batch, beginning with row from, whose answers are
// appended to out.
type piece struct {
	batch   *Batch
	out     *Scores
	from, n int
}

// runPieces scores n rows in one run: the pieces one after the other. The run is ended when all jobs are over.
func (p *plan) runPieces(session *ort.DynamicAdvancedSession, jobs []Job, pieces []piece, n int) (err error) {
	rows := max(n, p.fixed)
	s := p.idle.take(rows)
	if s == nil {
		if s, err = newSlot(session, p, rows); err != nil {
			return err
		}
	}
	defer func() {
		if p.idle.put(s) && err != nil {
			err = jobs[0].Over()
		}
	}()
	at := 0
	for i := range pieces {
		if err := p.fill(s, &pieces[i], at); err != nil {
			return err
		}
		at += pieces[i].n
	}
	for ; at < rows; at++ { // what is left over has the first row again, and nobody looks at its answers
		if err := p.fill(s, &piece{batch: pieces[0].batch, from: pieces[0].from, n: 1}, at); err != nil {
			return err
		}
	}
	p.idle.begin(s, jobs)
	if err := s.bound.run(); err != nil {
		return err
	}
	var labels []string
	if p.readsLabels() {
		var err error
		if labels, err = p.labelsOf(s.label); err != nil {
			return err
		}
	}
	at = 0
	for i := range pieces {
		out, end := pieces[i].out, at+pieces[i].n
		out.Values = p.head.appendScores(out.Values, s.score, at, end)
		if labels != nil {
			out.Labels = append(out.Labels, labels[at:end]...)
		}
		at = end
	}
	return nil
}

// whole returns the rows of b, and for a model whose runs have a fixed number of rows so many of them, the first again
// where they do not suffice. Exporters fix it when they are given an example without a dynamic axis, as PyTorch's is by
// default: such a model is run that many rows at a time.
func (p *plan) whole(b *Batch) *Batch {
	if p.fixed == 0 || b == nil || b.Rows == 0 || b.Rows == p.fixed {
		return b
	}
	out := &Batch{Rows: p.fixed}
	for _, c := range b.Columns {
		out.Columns = append(out.Columns, Column{
			Name: c.Name, Strings: cycled(c.Strings, p.fixed), Ints: cycled(c.Ints, p.fixed), Floats: cycled(c.Floats, p.fixed),
			Bools: cycled(c.Bools, p.fixed), Nulls: cycled(c.Nulls, p.fixed),
		})
	}
	return out
}

// cycled returns n values, from the first on and again, nil for none.
func cycled[T any](values []T, n int) []T {
	if len(values) == 0 {
		return nil
	}
	return slices.Repeat(values, n/len(values)+1)[:n]
}

// fill writes a piece's values to the rows of the slot that begin with row at.
func (p *plan) fill(s *slot, from *piece, at int) error {
	for i, f := range p.contract.Features {
		c, err := from.batch.column(i, f)
		if err != nil {
			return err
		}
		to, column := &s.inputs[0], i
		if !p.matrix {
			to, column = &s.inputs[i], 0
		}
		if err := to.fill(c, f, from.from, from.n, at, column); err != nil {
			return err
		}
	}
	return nil
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

// labelsOf gives the label output's values as the classes' names.
func (p *plan) labelsOf(t tensor) (labels []string, err error) {
	switch {
	case t.strings != nil:
		if labels, err = t.strings.GetContents(); err != nil {
			return nil, fmt.Errorf("read output %s: %w", p.label.name, err)
		}
	case t.bools != nil:
		for _, b := range t.bools {
			labels = append(labels, strconv.FormatBool(b))
		}
	default:
		for _, v := range t.ints {
			if v >= 0 && v < int64(len(p.classes)) {
				labels = append(labels, p.classes[v])
			} else {
				labels = append(labels, strconv.FormatInt(v, 10))
			}
		}
	}
	return labels, nil
}
