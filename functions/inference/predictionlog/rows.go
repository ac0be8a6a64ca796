package predictionlog

import (
	"slices"
	"strings"
	"sync"
	"unsafe"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// Layout is the columns of a batch of the prediction log: those of every log,
// with the features of one contract between them. It is safe for concurrent
// use.
type Layout struct {
	task    string
	classes []string
	schema  table.Schema
	types   []onnx.Type // of all features of the contract
	// features are the places of the logged features in the contract.
	features []int
	key      string // equal for equal schemas
	omitted  []string
	idle     sync.Pool
	encoder  *encoder // of the goroutine that encodes; nil before the first batch
}

// The log's own columns, before and after the features.
const (
	colRequestID = iota
	colRow
	colTime
	colVersion
	colRoute
	colFeatures
)

// After the features, counted from the first of them.
const (
	colPrediction = iota
	colScore
	colLatency
	colsAfter
)

// NewLayout returns the layout of the rows of a contract.
func NewLayout(c onnx.Contract) *Layout {
	prediction := table.String
	if c.Task == onnx.Regression {
		prediction = table.Float
	}
	before := table.Schema{
		{Name: "request_id", Type: table.String}, {Name: "row", Type: table.Int}, {Name: "time", Type: table.Timestamp},
		{Name: "version", Type: table.Int}, {Name: "route", Type: table.String},
	}
	after := table.Schema{{Name: "prediction", Type: prediction}, {Name: "score", Type: table.Float}, {Name: "latency_ms", Type: table.Float}}
	l := &Layout{task: c.Task, classes: c.Classes, schema: before}
	for i, f := range c.Features {
		l.types = append(l.types, f.Type)
		if before.Index(f.Name) >= 0 || after.Index(f.Name) >= 0 {
			l.omitted = append(l.omitted, f.Name)
			continue
		}
		l.features = append(l.features, i)
		l.schema = append(l.schema, table.Column{Name: f.Name, Type: table.Type(f.Type)})
	}
	l.schema = append(l.schema, after...)
	l.key = l.schema.String()
	return l
}

// Omitted returns the features that are not logged, because they have the name
// of one of the log's own columns.
func (l *Layout) Omitted() []string { return l.omitted }

// encode appends rows as a Parquet file. One goroutine may call it.
func (l *Layout) encode(to []byte, b *table.Batch) (_ []byte, err error) {
	if l.encoder == nil {
		if l.encoder, err = newEncoder(l.schema); err != nil {
			return to, err
		}
	}
	return l.encoder.append(to, b)
}

// rows are rows of the prediction log in memory, by column.
type rows struct {
	layout *Layout
	batch  table.Batch
	texts  arena
	// cost is what they take of the log's memory.
	cost int64
}

func (l *Layout) take() *rows {
	if r, ok := l.idle.Get().(*rows); ok {
		return r
	}
	return &rows{layout: l, batch: table.Batch{Schema: l.schema, Columns: make([]table.Vector, len(l.schema))}}
}

// put lets the memory be used again.
func (r *rows) put() {
	for i := range r.batch.Columns {
		v := &r.batch.Columns[i]
		clear(v.Strings)
		v.Strings, v.Ints, v.Floats, v.Bools, v.Nulls = v.Strings[:0], v.Ints[:0], v.Floats[:0], v.Bools[:0], nil
	}
	r.batch.Rows, r.cost = 0, 0
	r.texts.reset()
	r.layout.idle.Put(r)
}

// costOf is what a request's rows take of the log's memory.
func (l *Layout) costOf(q *codec.Request) int64 {
	cost := int64(q.Rows) * int64(len(l.schema)) * 16
	for _, i := range l.features {
		for _, s := range q.Batch.Columns[i].Strings {
			cost += int64(len(s))
		}
	}
	return cost
}

// add appends a request's rows with their answers.
func (r *rows) add(q *codec.Request, a Answer) {
	columns, n := r.batch.Columns, q.Rows
	id := r.texts.keep(unsafe.String(unsafe.SliceData(q.ID), len(q.ID)))
	micros, latency := a.At.UnixMicro(), float64(a.Took.Nanoseconds())/1e6
	after := columns[colFeatures+len(r.layout.features):]
	for row := range n {
		columns[colRequestID].Strings = append(columns[colRequestID].Strings, id)
		columns[colRow].Ints = append(columns[colRow].Ints, int64(row))
		columns[colTime].Ints = append(columns[colTime].Ints, micros)
		columns[colVersion].Ints = append(columns[colVersion].Ints, int64(a.Version))
		columns[colRoute].Strings = append(columns[colRoute].Strings, a.Route)
		after[colLatency].Floats = append(after[colLatency].Floats, latency)
	}
	for k, i := range r.layout.features {
		r.addFeature(&columns[colFeatures+k], r.layout.types[i], &q.Batch.Columns[i], n)
	}
	prediction, scores := &after[colPrediction], &after[colScore]
	for row := range n {
		score, ok := r.layout.scoreOf(q, row)
		scores.Floats = append(scores.Floats, score)
		switch {
		case r.layout.task == onnx.Regression:
			prediction.Floats = append(prediction.Floats, score)
		case ok:
			prediction.Strings = append(prediction.Strings, r.layout.classes[q.Labels[row]])
		default:
			prediction.Strings = append(prediction.Strings, "")
		}
	}
	markUndefined(prediction, r.batch.Rows, n, q.Undefined)
	markUndefined(scores, r.batch.Rows, n, q.Undefined)
	r.batch.Rows += n
}

// markUndefined makes the values of undefined rows null, of n that were appended
// after the first before.
func markUndefined(to *table.Vector, before, n int, undefined []int) {
	if to.Nulls == nil && len(undefined) == 0 {
		return
	}
	if to.Nulls == nil {
		to.Nulls = make([]bool, before, max(2*before, before+n))
	}
	to.Nulls = append(to.Nulls, make([]bool, n)...)
	for _, row := range undefined {
		to.Nulls[before+row] = true
	}
}

// scoreOf returns a row's score: the value of a regression, the probability of
// the last class of two, of the predicted class of more. It is 0, and false, for
// an undefined row.
func (l *Layout) scoreOf(q *codec.Request, row int) (float64, bool) {
	if _, undefined := slices.BinarySearch(q.Undefined, row); undefined {
		return 0, false
	}
	values := q.Scores.Row(row)
	switch l.task {
	case onnx.Regression:
		return values[0], true
	case onnx.BinaryClassification:
		return values[len(values)-1], true
	}
	return values[q.Labels[row]], true
}

func (r *rows) addFeature(to *table.Vector, typ onnx.Type, c *onnx.Column, n int) {
	before := r.batch.Rows
	switch typ {
	case onnx.String:
		for _, s := range c.Strings {
			to.Strings = append(to.Strings, r.texts.keep(s))
		}
	case onnx.Float:
		to.Floats = append(to.Floats, c.Floats...)
	case onnx.Bool:
		to.Bools = append(to.Bools, c.Bools...)
	default:
		to.Ints = append(to.Ints, c.Ints...)
	}
	switch {
	case c.Nulls != nil:
		if to.Nulls == nil {
			to.Nulls = make([]bool, before, max(2*before, before+n))
		}
		to.Nulls = append(to.Nulls, c.Nulls...)
		if typ == onnx.Float {
			for i, null := range c.Nulls {
				if null {
					to.Floats[before+i] = 0 // a null's value is zero
				}
			}
		}
	case to.Nulls != nil:
		for range n {
			to.Nulls = append(to.Nulls, false)
		}
	}
}

// arena holds the bytes of many strings.
type arena struct {
	chunk []byte
	full  [][]byte
}

const arenaChunk = 64 << 10

// keep copies s into the arena.
func (a *arena) keep(s string) string {
	if len(s) == 0 {
		return ""
	}
	if len(s) > arenaChunk/4 {
		return strings.Clone(s)
	}
	if len(a.chunk)+len(s) > cap(a.chunk) {
		if a.chunk != nil {
			a.full = append(a.full, a.chunk)
		}
		a.chunk = make([]byte, 0, arenaChunk)
	}
	from := len(a.chunk)
	a.chunk = append(a.chunk, s...)
	return unsafe.String(&a.chunk[from], len(s))
}

// reset forgets the strings, which must not be used any more.
func (a *arena) reset() {
	clear(a.full)
	a.chunk, a.full = a.chunk[:0], a.full[:0]
}
