package inference

import (
	"strings"
	"sync"
	"unsafe"

	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// layout is the columns of a batch of the prediction log: those of every log,
// the features of one contract between them.
type layout struct {
	schema table.Schema
	// features are the places of the logged features in the contract.
	features []int
	key      string // equal for equal schemas
	// omitted are features that are called like one of the log's own columns.
	omitted []string
	idle    sync.Pool
	encoder *table.Encoder // of the goroutine that encodes; nil before the first batch
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

func newLayout(c onnx.Contract) *layout {
	prediction := table.String
	if c.Task == onnx.Regression {
		prediction = table.Float
	}
	before := table.Schema{
		{Name: "request_id", Type: table.String}, {Name: "row", Type: table.Int}, {Name: "time", Type: table.Timestamp},
		{Name: "version", Type: table.Int}, {Name: "route", Type: table.String},
	}
	after := table.Schema{{Name: "prediction", Type: prediction}, {Name: "score", Type: table.Float}, {Name: "latency_ms", Type: table.Float}}
	l := &layout{schema: before}
	for i, f := range c.Features {
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

// encode appends rows as a Parquet file. One goroutine may call it.
func (l *layout) encode(to []byte, b *table.Batch) (_ []byte, err error) {
	if l.encoder == nil {
		if l.encoder, err = table.NewEncoder(l.schema); err != nil {
			return to, err
		}
	}
	return l.encoder.Append(to, b)
}

// rows are rows of the prediction log in memory, by column.
type rows struct {
	layout *layout
	batch  table.Batch
	texts  arena
	// cost is what they take of the log's memory.
	cost int64
}

func (l *layout) take() *rows {
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
func (l *layout) costOf(q *request) int64 {
	cost := int64(q.rows) * int64(len(l.schema)) * 16
	for _, i := range l.features {
		for _, s := range q.columns[i].Strings {
			cost += int64(len(s))
		}
	}
	return cost
}

// add appends what was asked and answered.
func (r *rows) add(q *request, a outcome) {
	columns, n, v := r.batch.Columns, q.rows, a.version
	id := r.texts.keep(view(q.id))
	micros, latency := a.at.UnixMicro(), float64(a.took.Nanoseconds())/1e6
	after := columns[colFeatures+len(r.layout.features):]
	for row := range n {
		columns[colRequestID].Strings = append(columns[colRequestID].Strings, id)
		columns[colRow].Ints = append(columns[colRow].Ints, int64(row))
		columns[colTime].Ints = append(columns[colTime].Ints, micros)
		columns[colVersion].Ints = append(columns[colVersion].Ints, int64(v.number))
		columns[colRoute].Strings = append(columns[colRoute].Strings, a.route)
		after[colLatency].Floats = append(after[colLatency].Floats, latency)
	}
	for k, i := range r.layout.features {
		r.addFeature(&columns[colFeatures+k], &q.columns[i])
	}
	for row := range n {
		score := v.scoreOf(q, row)
		after[colScore].Floats = append(after[colScore].Floats, score)
		if v.contract.Task == onnx.Regression {
			after[colPrediction].Floats = append(after[colPrediction].Floats, score)
		} else {
			after[colPrediction].Strings = append(after[colPrediction].Strings, v.contract.Classes[q.labels[row]])
		}
	}
	r.batch.Rows += n
}

// scoreOf is a row's score: the value of a regression, the probability of the
// last class of two, of the predicted class of more.
func (v *version) scoreOf(q *request, row int) float64 {
	values := q.scores.Row(row)
	switch v.contract.Task {
	case onnx.Regression:
		return values[0]
	case onnx.BinaryClassification:
		return values[len(values)-1]
	}
	return values[q.labels[row]]
}

func (r *rows) addFeature(to *table.Vector, c *column) {
	before := r.batch.Rows
	switch c.feature.Type {
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
			to.Nulls = make([]bool, before, max(2*before, before+c.rows))
		}
		to.Nulls = append(to.Nulls, c.Nulls...)
		if c.feature.Type == onnx.Float {
			for i, null := range c.Nulls {
				if null {
					to.Floats[before+i] = 0 // a null's value is zero
				}
			}
		}
	case to.Nulls != nil:
		for range c.rows {
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

// reset forgets the strings, which nobody may use any more.
func (a *arena) reset() {
	clear(a.full)
	a.chunk, a.full = a.chunk[:0], a.full[:0]
}
