package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

// measure counts the values of one column.
type measure struct {
	typ              Type
	nulls, nonFinite int64
	tally            tally
	sketch           *sketch // once there were too many distinct values

	dict   *dictionary // the one that is being counted
	counts []int64     // of its indices

	visit func(e entry, n int64) // if any: told of the values, which are then not counted
}

// ProfileFile measures the canonical Parquet file at path, its columns on up to
// GOMAXPROCS threads. Memory does not grow with the number of rows.
func ProfileFile(ctx context.Context, path string) (*Profile, error) {
	t, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	p := &Profile{Rows: t.pq.NumRows(), Columns: make([]ColumnProfile, len(t.schema))}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int, len(t.schema))
	for i := range t.schema {
		next <- i
	}
	close(next)
	for range min(runtime.GOMAXPROCS(0), len(t.schema)) {
		wg.Go(func() {
			for i := range next {
				c, err := t.measure(ctx, i)
				if err != nil {
					cancel(err)
					return
				}
				p.Columns[i] = c
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("measure %s: %w", filepath.Base(path), err)
	}
	return p, nil
}

func (t *file) measure(ctx context.Context, index int) (ColumnProfile, error) {
	m := &measure{typ: t.schema[index].Type}
	for group := range t.pq.RowGroups() {
		if err := t.each(ctx, group, index, m.count); err != nil {
			return ColumnProfile{}, err
		}
	}
	return m.profile(t.schema[index].Name), nil
}

// each calls f with every run of a column in a row group: all of its rows, or
// an error.
func (t *file) each(ctx context.Context, group, index int, f func(*run)) error {
	c := t.column(group, index)
	defer c.Close()
	left := t.pq.RowGroups()[group].NumRows()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		r, err := c.next()
		if errors.Is(err, io.EOF) && left == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil || int64(r.rows) > left {
			return t.damaged(fmt.Errorf("column %q has other rows than the footer says", t.schema[index].Name))
		}
		left -= int64(r.rows)
		f(r)
	}
}

// count takes in a run. Of values in a dictionary it counts the indices, and
// looks at the values once for each dictionary.
func (m *measure) count(r *run) {
	m.nulls += int64(r.nulls)
	if r.dict != nil {
		if r.dict != m.dict {
			m.fold()
			m.dict = r.dict
			m.counts = slices.Grow(m.counts[:0], r.dict.n)[:r.dict.n]
			clear(m.counts)
		}
		counts := m.counts
		for _, i := range r.indices {
			counts[i]++
		}
		return
	}
	n := r.values()
	switch m.typ {
	case Int, Timestamp:
		for _, v := range r.ints[:n] {
			m.add(intKey(v), 1)
		}
	case Float:
		for _, v := range r.floats[:n] {
			m.addFloat(v, 1)
		}
	case Bool:
		var yes int64
		for i := range n {
			if bit(r.bits, i) {
				yes++
			}
		}
		m.addBools(yes, int64(n)-yes)
	case String:
		for i := range n {
			m.addText(r.text[r.ends[i]:r.ends[i+1]], 1)
		}
	}
}

// fold takes in the values of the dictionary that was counted.
func (m *measure) fold() {
	d := m.dict
	if d == nil {
		return
	}
	for i, n := range m.counts {
		if n == 0 {
			continue
		}
		switch m.typ {
		case Int, Timestamp:
			m.add(intKey(d.ints[i]), n)
		case Float:
			m.addFloat(d.floats[i], n)
		case Bool:
			m.add(boolKey(bit(d.bits, i)), n)
		case String:
			m.addText(d.text[d.ends[i]:d.ends[i+1]], n)
		}
	}
	m.dict = nil
}

func (m *measure) add(key uint64, n int64) {
	if m.visit != nil {
		m.visit(entry{key: key}, n)
		return
	}
	m.tally.add(key, n)
	if m.tally.len() > MaxDistinct {
		m.spill()
	}
}

func (m *measure) addFloat(v float64, n int64) {
	if !finite(v) {
		m.nulls += n
		m.nonFinite += n
		return
	}
	m.add(floatKey(v), n)
}

func (m *measure) addBools(yes, no int64) {
	if yes > 0 {
		m.add(boolKey(true), yes)
	}
	if no > 0 {
		m.add(boolKey(false), no)
	}
}

func (m *measure) addText(b []byte, n int64) {
	if m.visit != nil {
		m.visit(entry{key: textKey(b), text: string(b)}, n)
		return
	}
	m.tally.addText(b, n)
	if m.tally.len() > MaxDistinct {
		m.spill()
	}
}

// spill moves what was counted into the sketch.
func (m *measure) spill() {
	if m.sketch == nil {
		m.sketch = newSketch(m.typ)
	}
	m.sketch.add(m.typ, m.tally.take())
}

func (m *measure) profile(name string) ColumnProfile {
	m.fold()
	if m.sketch == nil {
		return newColumn(name, m.typ, m.nulls, m.nonFinite, m.tally.take(), nil)
	}
	m.spill()
	return newColumn(name, m.typ, m.nulls, m.nonFinite, nil, m.sketch)
}
