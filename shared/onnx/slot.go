package onnx

import (
	"fmt"
	"math"
	"strings"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// slot is what one run of a fixed number of rows needs: the tensors, bound to the session. One run at a time uses it.
// Making one costs several times what running a small model costs, so slots are kept: see slots.
type slot struct {
	rows    int
	inputs  []tensor
	score   tensor
	label   tensor
	binding *ort.IoBinding
	options *ort.RunOptions // by which a run is ended
	bound   bound
	// Of the run that has the slot: see watch.go.
	jobs  []Job     // it ends when all of them are over
	ended time.Time // when the watch ended it
}

func newSlot(session *ort.DynamicAdvancedSession, p *plan, rows int) (s *slot, err error) {
	s = &slot{rows: rows, inputs: make([]tensor, len(p.inputs))}
	defer func() {
		if err != nil {
			s.destroy()
			err = fmt.Errorf("make tensors for %d rows: %w", rows, err)
		}
	}()
	if s.binding, err = session.CreateIoBinding(); err != nil {
		return s, err
	}
	if s.options, err = ort.NewRunOptions(); err != nil {
		return s, err
	}
	if s.bound, err = bind(session, s.options, s.binding); err != nil {
		return s, err
	}
	for i, in := range p.inputs {
		if s.inputs[i], err = newTensor(in, rows); err != nil {
			return s, err
		}
		if err = s.binding.BindInput(in.name, s.inputs[i].value); err != nil {
			return s, err
		}
	}
	if s.score, err = newTensor(p.score, rows); err != nil {
		return s, err
	}
	if err = s.binding.BindOutput(p.score.name, s.score.value); err != nil {
		return s, err
	}
	if !p.readsLabels() {
		return s, nil
	}
	if s.label, err = newTensor(p.label, rows); err != nil {
		return s, err
	}
	return s, s.binding.BindOutput(p.label.name, s.label.value)
}

// destroy frees what of s was made. Nothing here can fail in a way that somebody could act on.
func (s *slot) destroy() {
	if s.binding != nil {
		_ = s.binding.Destroy()
	}
	if s.options != nil {
		_ = s.options.Destroy()
	}
	for _, t := range append(s.inputs, s.score, s.label) {
		if t.value != nil {
			_ = t.value.Destroy()
		}
	}
}

// tensor is memory that ONNX Runtime reads or writes; exactly one of the slices (or strings) is set.
type tensor struct {
	port    port
	rows    int
	value   ort.Value
	float32 []float32
	float64 []float64
	ints    []int64
	bools   []bool
	strings *ort.StringTensor
}

func newTensor(p port, rows int) (tensor, error) {
	t := tensor{port: p, rows: rows}
	var err error
	switch p.datatype {
	case "FP32":
		t.float32, t.value, err = newNumbers[float32](p.shape(rows))
	case "FP64":
		t.float64, t.value, err = newNumbers[float64](p.shape(rows))
	case "INT64":
		t.ints, t.value, err = newNumbers[int64](p.shape(rows))
	case "BOOL":
		t.bools, t.value, err = newNumbers[bool](p.shape(rows))
	case "BYTES":
		if t.strings, err = ort.NewStringTensor(p.shape(rows)); err == nil {
			t.value = t.strings
		}
	default:
		err = fmt.Errorf("tensor %s has type %s", p.name, p.datatype)
	}
	return t, err
}

// newNumbers returns a tensor and the memory it is made of.
func newNumbers[T ort.TensorData](shape ort.Shape) ([]T, ort.Value, error) {
	t, err := ort.NewEmptyTensor[T](shape)
	if err != nil {
		return nil, nil, err
	}
	return t.GetData(), t, nil
}

// fill writes n values of c, beginning with value from, to a column of the tensor, beginning with row at. Check has made
// sure that the feature's type goes with the tensor's.
func (t *tensor) fill(c *Column, f Feature, from, n, at, column int) error {
	var nulls []bool
	if c.Nulls != nil {
		nulls = c.Nulls[from : from+n]
	}
	switch {
	case t.float32 != nil:
		dst := t.float32[at*t.port.width+column:]
		fillFloats(dst, t.port.width, c, f.Type, from, n, nulls)
		if f.Type == Float {
			return checkOverflow(dst, t.port.width, c, from, n)
		}
	case t.float64 != nil:
		fillFloats(t.float64[at*t.port.width+column:], t.port.width, c, f.Type, from, n, nulls)
	case t.strings != nil:
		return t.fillStrings(c, f.Missing, from, n, at, nulls)
	default:
		for i, null := range nulls {
			if null {
				return fmt.Errorf("column %s, row %d: the value is missing, and the model takes it as %s, which cannot say so",
					c.Name, from+i, t.port.datatype)
			}
		}
		if t.bools != nil {
			copy(t.bools[at:], c.Bools[from:from+n])
		} else {
			copy(t.ints[at:], c.Ints[from:from+n])
		}
	}
	return nil
}

func fillFloats[T float32 | float64](dst []T, stride int, c *Column, typ Type, from, n int, nulls []bool) {
	switch typ {
	case Float:
		for i, v := range c.Floats[from : from+n] {
			dst[i*stride] = T(v)
		}
	case Int, Timestamp:
		for i, v := range c.Ints[from : from+n] {
			dst[i*stride] = T(v)
		}
	case Bool:
		for i, v := range c.Bools[from : from+n] {
			if v {
				dst[i*stride] = 1
			} else {
				dst[i*stride] = 0
			}
		}
	}
	for i, null := range nulls {
		if null {
			dst[i*stride] = nan[T]()
		}
	}
}

// checkOverflow finds a number that has become infinite in dst.
func checkOverflow(dst []float32, stride int, c *Column, from, n int) error {
	for i, v := range c.Floats[from : from+n] {
		if x := dst[i*stride]; x-x != 0 && x == x && !math.IsInf(v, 0) {
			return fmt.Errorf("column %s, row %d: %v is beyond what the model's input holds, FP32", c.Name, from+i, v)
		}
	}
	return nil
}

func nan[T float32 | float64]() T {
	var zero T
	return zero / zero
}

// fillStrings is fill for strings; missing takes the place of a null.
func (t *tensor) fillStrings(c *Column, missing string, from, n, at int, nulls []bool) error {
	values := c.Strings[from : from+n]
	for i, v := range values {
		// The runtime takes C strings: what is behind a NUL would be lost, and the row scored as if it were another.
		if strings.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("column %s, row %d: the string has a NUL in it", c.Name, from+i)
		}
	}
	if n < t.rows || n == 1 { // SetContents needs all of the tensor's, and a slice
		for i, v := range values {
			if nulls != nil && nulls[i] {
				v = missing
			}
			if err := t.strings.SetElement(int64(at+i), v); err != nil {
				return err
			}
		}
		return nil
	}
	if nulls != nil {
		present := make([]string, n)
		for i, null := range nulls {
			if present[i] = values[i]; null {
				present[i] = missing
			}
		}
		values = present
	}
	return t.strings.SetContents(values)
}

// appendTo appends the tensor's floats of rows from to end to values.
func (t *tensor) appendTo(values []float64, from, end int) []float64 {
	from, end = from*t.port.width, end*t.port.width
	if t.float64 != nil {
		return append(values, t.float64[from:end]...)
	}
	for _, v := range t.float32[from:end] {
		values = append(values, float64(v))
	}
	return values
}
