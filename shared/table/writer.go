package table

import "io"

// Writer writes canonical Parquet: zstd, dictionaries, rows in the order they
// come; the same rows give the same bytes however they were batched. It is not
// safe for concurrent use.
type Writer struct{}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer, schema Schema) (*Writer, error) { panic("not yet") }

// Create returns a Writer to a new file beside path that takes path's place
// when the Writer is closed without an error.
func Create(path string, schema Schema) (*Writer, error) { panic("not yet") }

// Write appends the rows of b, whose columns have to be those of the schema, by
// position. It does not keep b.
func (w *Writer) Write(b *Batch) error { panic("not yet") }

// Rows returns the number of rows written so far.
func (w *Writer) Rows() int64 { panic("not yet") }

// Close writes the footer and, for Create, puts the file in its place.
func (w *Writer) Close() error { panic("not yet") }

// Abort gives up: a file made by Create is removed. After Close it does
// nothing, so that it can be deferred.
func (w *Writer) Abort() { panic("not yet") }
