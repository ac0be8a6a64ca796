package table

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"unsafe"

	"github.com/parquet-go/parquet-go"
)

const (
	// rowGroup is how many rows a row group has at most.
	rowGroup = 122_880
	// portion is how many rows go to a column at once, at most. Portions do not
	// depend on the batches that rows come in, so that pages do not either.
	portion = 2048
	// groupValues and groupText bound the memory of a row group: it has fewer rows
	// where a table has many columns, or long texts.
	groupValues   = 1 << 23
	portionValues = 1 << 20
	groupText     = 128 << 20
	// maxDictionary is the size of a dictionary, in bytes, past which the rest
	// of a column chunk is plain.
	maxDictionary = 1 << 20
)

// Writer writes canonical Parquet: zstd, dictionaries, rows in the order they
// come; the same rows give the same bytes however they were batched. It is not
// safe for concurrent use.
type Writer struct {
	schema  Schema
	pq      *parquet.Writer   //nolint:staticcheck // what replaces it takes Go structs, and these are rows of values
	pending [][]parquet.Value // of each column, fewer than portion
	rows    int64

	portion, group int // rows, by the number of columns
	inGroup        int // rows of the row group
	text           int // bytes of texts of the row group

	temp *os.File // of Create, until it is closed
	path string
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer, schema Schema) (*Writer, error) {
	if len(schema) == 0 {
		return nil, fmt.Errorf("write a table: it needs at least one column")
	}
	root := group{}
	seen := map[string]bool{}
	for _, c := range schema {
		if seen[c.Name] {
			return nil, fmt.Errorf("write a table: two columns are called %q", c.Name)
		}
		seen[c.Name] = true
		node, err := leaf(c.Type)
		if err != nil {
			return nil, fmt.Errorf("write column %q: %w", c.Name, err)
		}
		root.fields = append(root.fields, field{Node: node, name: c.Name})
	}
	size := portion
	for size > 64 && size*len(schema) > portionValues {
		size /= 2
	}
	return &Writer{
		portion: size,
		group:   min(rowGroup, max(size, groupValues/len(schema)/size*size)),
		schema:  schema,
		pending: make([][]parquet.Value, len(schema)),
		pq: parquet.NewWriter(w,
			parquet.NewSchema("table", root),
			parquet.Compression(&parquet.Zstd),
			parquet.DictionaryMaxBytes(maxDictionary),
			parquet.CreatedBy("millrace", "1", ""),
		),
	}, nil
}

func leaf(typ Type) (parquet.Node, error) {
	var node parquet.Node
	switch typ {
	case String:
		node = parquet.String()
	case Int:
		node = parquet.Int(64)
	case Float:
		node = parquet.Leaf(parquet.DoubleType)
	case Timestamp:
		node = parquet.Timestamp(parquet.Microsecond)
	case Bool:
		return parquet.Optional(parquet.Leaf(parquet.BooleanType)), nil // a bit a value: no dictionary is smaller
	default:
		return nil, fmt.Errorf("unknown type %q", typ)
	}
	return parquet.Optional(parquet.Encoded(node, &parquet.RLEDictionary)), nil
}

// group is a parquet.Group that keeps its fields in order: parquet.Group, being
// a map, sorts them.
type group struct {
	parquet.Group
	fields []parquet.Field
}

func (g group) Fields() []parquet.Field { return g.fields }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

// Value is for writing Go structs, which does not happen here.
func (f field) Value(base reflect.Value) reflect.Value { return base }

// Create returns a Writer to a new file beside path that takes path's place
// when the Writer is closed without an error.
func Create(path string, schema Schema) (*Writer, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(temp, schema)
	if err != nil {
		temp.Close()
		os.Remove(temp.Name())
		return nil, err
	}
	w.temp, w.path = temp, path
	return w, nil
}

// Write appends the rows of b, whose columns have to be those of the schema, by
// position. It does not keep b.
func (w *Writer) Write(b *Batch) error {
	if len(b.Columns) != len(w.schema) {
		return fmt.Errorf("write a table: %d columns instead of %d", len(b.Columns), len(w.schema))
	}
	for i, c := range w.schema {
		if n := b.Columns[i].len(c.Type); n != b.Rows {
			return fmt.Errorf("write column %q: %d values of type %s instead of %d", c.Name, n, c.Type, b.Rows)
		}
	}
	for from := 0; from < b.Rows; {
		n := min(b.Rows-from, w.portion-len(w.pending[0]))
		for i, c := range w.schema {
			w.pending[i] = appendValues(w.pending[i], c.Type, i, &b.Columns[i], from, from+n)
			if c.Type == String {
				for _, text := range b.Columns[i].Strings[from : from+n] {
					w.text += len(text)
				}
			}
		}
		w.rows += int64(n)
		w.inGroup += n
		from += n
		if len(w.pending[0]) < w.portion {
			continue
		}
		if err := w.push(); err != nil {
			return err
		}
		if w.inGroup >= w.group || w.text >= groupText {
			if err := w.pq.Flush(); err != nil {
				return fmt.Errorf("write a table: %w", err)
			}
			w.inGroup, w.text = 0, 0
		}
	}
	return nil
}

// push hands the pending rows to the columns.
func (w *Writer) push() error {
	for i, column := range w.pq.ColumnWriters() {
		if _, err := column.WriteRowValues(w.pending[i]); err != nil {
			return fmt.Errorf("write column %q: %w", w.schema[i].Name, err)
		}
		w.pending[i] = w.pending[i][:0]
	}
	return nil
}

func appendValues(to []parquet.Value, typ Type, column int, v *Vector, from, end int) []parquet.Value {
	for i := from; i < end; i++ {
		if v.Null(i) {
			to = append(to, parquet.NullValue().Level(0, 0, column))
			continue
		}
		var x parquet.Value
		switch typ {
		case String:
			x = parquet.ByteArrayValue(bytesOf(v.Strings[i]))
		case Float:
			x = parquet.DoubleValue(v.Floats[i])
		case Bool:
			x = parquet.BooleanValue(v.Bools[i])
		default:
			x = parquet.Int64Value(v.Ints[i])
		}
		to = append(to, x.Level(0, 1, column))
	}
	return to
}

// bytesOf returns the bytes of s without copying them. Nobody writes to them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Rows returns the number of rows written so far.
func (w *Writer) Rows() int64 { return w.rows }

// Close writes the footer and, for Create, puts the file in its place.
func (w *Writer) Close() error {
	defer w.Abort()
	if err := w.push(); err != nil {
		return err
	}
	if err := w.pq.Close(); err != nil {
		return fmt.Errorf("write a table: %w", err)
	}
	if w.temp == nil {
		return nil
	}
	if err := w.temp.Chmod(0o644); err != nil {
		return err
	}
	if err := w.temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.temp.Name(), w.path); err != nil {
		return err
	}
	w.temp = nil
	return nil
}

// Abort gives up: a file made by Create is removed. After Close it does
// nothing, so that it can be deferred.
func (w *Writer) Abort() {
	if w.temp != nil {
		w.temp.Close() // again, if Close failed after it
		os.Remove(w.temp.Name())
		w.temp = nil
	}
}
