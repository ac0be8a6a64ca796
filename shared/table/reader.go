package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Reader reads some columns of a canonical Parquet file in batches. It holds
// one row group of these columns in memory (122,880 rows, as Millrace writes
// them). It is not safe for concurrent use.
type Reader struct {
	t        *file
	schema   Schema
	indices  []int // of the columns in the file
	decoders []decoder
	group    int // the next to read
	columns  []Vector
	rows     int // in columns
	at       int // rows of columns that were returned
	batch    Batch
}

// Open opens the file at path for reading columns, in this order; nil means all
// of them. A column that is not there is an *[Unreadable] that lists those that
// are. Close the Reader.
func Open(path string, columns []string) (*Reader, error) {
	t, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if columns == nil {
		columns = t.schema.Names()
	}
	r := &Reader{t: t}
	var missing []string
	for _, name := range columns {
		i := t.schema.Index(name)
		if i < 0 {
			missing = append(missing, name)
			continue
		}
		r.indices = append(r.indices, i)
		r.schema = append(r.schema, t.schema[i])
	}
	if missing != nil {
		return nil, errors.Join(MissingColumns(t.name, missing, t.schema.Names()), t.Close())
	}
	r.decoders = make([]decoder, len(columns))
	r.columns = make([]Vector, len(columns))
	return r, nil
}

// MissingColumns returns the *[Unreadable] for data called name that lacks
// columns and has others.
func MissingColumns(name string, missing, present []string) error {
	what := "columns are"
	if len(missing) == 1 {
		what = "column is"
	}
	return &Unreadable{
		Name:   name,
		Column: missing[0],
		Reason: fmt.Sprintf("%s missing: %s", what, list(missing)),
		Try:    fmt.Sprintf("the columns that are there: %s", list(present)),
	}
}

// list shows names to people, not too many of them.
func list(names []string) string {
	const most = 50
	if len(names) == 0 {
		return "none"
	}
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Schema returns the columns that are read.
func (r *Reader) Schema() Schema { return slices.Clone(r.schema) }

// Rows returns the number of rows of the file.
func (r *Reader) Rows() int64 { return r.t.pq.NumRows() }

// Next returns the next rows, at least one and at most n, and io.EOF after the
// last. The batch is valid until the following call of Next; its strings remain
// valid.
func (r *Reader) Next(n int) (*Batch, error) {
	for r.at == r.rows {
		if r.group == len(r.t.pq.RowGroups()) {
			return nil, io.EOF
		}
		if err := r.read(); err != nil {
			return nil, err
		}
	}
	n = min(n, r.rows-r.at)
	r.batch.Schema, r.batch.Rows = r.schema, n
	r.batch.Columns = r.batch.Columns[:0]
	for i := range r.columns {
		r.batch.Columns = append(r.batch.Columns, r.columns[i].slice(r.schema[i].Type, r.at, r.at+n))
	}
	r.at += n
	return &r.batch, nil
}

// read decodes the next row group.
func (r *Reader) read() error {
	rows := int(r.t.pq.RowGroups()[r.group].NumRows())
	for i, index := range r.indices {
		v, typ := &r.columns[i], r.schema[i].Type
		v.truncate()
		err := r.t.each(context.Background(), r.group, index, func(run *run) { r.decoders[i].append(v, typ, run) })
		if err != nil {
			return fmt.Errorf("read %s: %w", r.t.name, err)
		}
	}
	r.group, r.rows, r.at = r.group+1, rows, 0
	return nil
}

// Close releases the file.
func (r *Reader) Close() error { return r.t.Close() }
