package table

// Reader reads some columns of a canonical Parquet file in batches. It is not
// safe for concurrent use.
type Reader struct{}

// Open opens the file at path for reading columns, in this order; nil means all
// of them. A column that is not there is an *Unreadable that lists those that
// are. Close the Reader.
func Open(path string, columns []string) (*Reader, error) { panic("not yet") }

// Schema returns the columns that are read.
func (r *Reader) Schema() Schema { panic("not yet") }

// Rows returns the number of rows of the file.
func (r *Reader) Rows() int64 { panic("not yet") }

// Next returns the next rows, at most n of them, and io.EOF after the last. The
// batch is valid until the following call of Next.
func (r *Reader) Next(n int) (*Batch, error) { panic("not yet") }

// Close releases the file.
func (r *Reader) Close() error { panic("not yet") }
