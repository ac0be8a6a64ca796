package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/rows"
	"millrace.dev/shared/table"
)

// month is a month of flights in memory.
type month struct {
	name string // prefix of its requests' ids, such as apr
	table.Batch
	// inputs are the model's inputs, with the indexes of their columns.
	inputs []input
}

type input struct {
	client.Tensor
	column int
}

// readMonth reads a month of rows to send to a model.
func readMonth(path, name string, inputs []client.Tensor) (m *month, err error) {
	t, err := table.Open(path, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	m = &month{name: name, Batch: table.Batch{Schema: t.Schema(), Columns: make([]table.Vector, len(t.Schema()))}}
	for {
		b, err := t.Next(1 << 20)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := range b.Schema {
			appendVector(&m.Columns[i], m.Rows, &b.Columns[i], b.Rows)
		}
		m.Rows += b.Rows
	}
	for _, in := range inputs {
		i := m.Schema.Index(in.Name)
		if i < 0 {
			return nil, fmt.Errorf("%s has no column %s, which the model requires", path, in.Name)
		}
		m.inputs = append(m.inputs, input{in, i})
	}
	return m, nil
}

// appendVector copies the n values of a batch behind the at values of to. The
// batch's memory is reused.
func appendVector(to *table.Vector, at int, from *table.Vector, n int) {
	to.Strings = append(to.Strings, from.Strings...)
	to.Ints = append(to.Ints, from.Ints...)
	to.Floats = append(to.Floats, from.Floats...)
	to.Bools = append(to.Bools, from.Bools...)
	if from.Nulls == nil && to.Nulls == nil {
		return
	}
	if to.Nulls == nil {
		to.Nulls = make([]bool, at)
	}
	if from.Nulls == nil {
		to.Nulls = append(to.Nulls, make([]bool, n)...)
		return
	}
	to.Nulls = append(to.Nulls, from.Nulls...)
}

// requestID returns the id of the month's nth request, from 1.
func (m *month) requestID(n int) string { return fmt.Sprintf("%s-%05d", m.name, n) }

// request returns the body of an Open Inference Protocol request for the rows
// from <= i < to.
func (m *month) request(id string, from, to int) ([]byte, error) {
	type tensor struct {
		Name     string `json:"name"`
		Shape    []int  `json:"shape"`
		Datatype string `json:"datatype"`
		Data     []any  `json:"data"`
	}
	body := struct {
		ID     string   `json:"id"`
		Inputs []tensor `json:"inputs"`
	}{ID: id}
	for _, in := range m.inputs {
		t := tensor{Name: in.Name, Shape: []int{to - from, 1}, Datatype: in.Datatype, Data: make([]any, 0, to-from)}
		for i := from; i < to; i++ {
			t.Data = append(t.Data, rows.Value(m.Schema[in.column].Type, &m.Columns[in.column], i))
		}
		body.Inputs = append(body.Inputs, t)
	}
	return json.Marshal(body)
}

// writeLabels writes the month's labels, which were known only after the
// predictions in requests of perRequest rows: every column that is not a
// feature, preceded by the key of the logged prediction.
func (m *month) writeLabels(path string, perRequest int) error {
	schema := table.Schema{{Name: "request_id", Type: table.String}, {Name: "row", Type: table.Int}}
	columns := []table.Vector{{}, {}}
	for i := range m.Rows {
		columns[0].Strings = append(columns[0].Strings, m.requestID(i/perRequest+1))
		columns[1].Ints = append(columns[1].Ints, int64(i%perRequest))
	}
	for i, c := range m.Schema {
		if !slices.ContainsFunc(m.inputs, func(in input) bool { return in.column == i }) {
			schema = append(schema, c)
			columns = append(columns, m.Columns[i])
		}
	}
	w, err := table.Create(path, schema)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.Write(&table.Batch{Schema: schema, Rows: m.Rows, Columns: columns}); err != nil {
		return err
	}
	return w.Close()
}
