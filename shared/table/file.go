package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// readBuffer is what is read from the file at once, for each column that is
// being read.
const readBuffer = 128 << 10

// maxRowGroup is the size, in rows, past which a row group is refused: canonical
// tables stay far below, and some of what reads them holds a row group in
// memory.
const maxRowGroup = 1 << 24

// file is an open canonical Parquet file. Its columns can be read concurrently.
type file struct {
	name   string
	f      *os.File
	pq     *parquet.File
	schema Schema
}

func openFile(path string) (_ *file, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t := &file{name: filepath.Base(path), f: f}
	// parquet-go may panic on malformed input; report that as a damaged file.
	defer func() {
		if r := recover(); r != nil {
			err = t.damaged(fmt.Errorf("%v", r))
		}
	}()
	if err := t.checkFooter(info.Size()); err != nil {
		return nil, err
	}
	t.pq, err = parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readBuffer))
	if err != nil {
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, err
		}
		return nil, t.damaged(err)
	}
	var rows int64
	for _, g := range t.pq.RowGroups() {
		if g.NumRows() < 0 || g.NumRows() > maxRowGroup {
			return nil, t.damaged(fmt.Errorf("a row group of %d rows", g.NumRows()))
		}
		rows += g.NumRows()
	}
	if rows != t.pq.NumRows() {
		return nil, t.damaged(fmt.Errorf("%d rows instead of %d", rows, t.pq.NumRows()))
	}
	var refused []string
	for _, col := range t.pq.Root().Columns() {
		typ, ok := canonicalType(col)
		if !ok {
			refused = append(refused, fmt.Sprintf("%q is %s", col.Name(), col.Type()))
			continue
		}
		t.schema = append(t.schema, Column{Name: col.Name(), Type: typ})
	}
	if refused != nil {
		return nil, &Unreadable{Name: t.name, Reason: "not a canonical table: " + strings.Join(refused, ", "), Try: "upload the file so that it gets converted"}
	}
	return t, nil
}

// checkFooter makes sure that the footer is within the file: the decoder takes
// as much memory as the file says that it has.
func (t *file) checkFooter(size int64) error {
	const tail = 8 // the footer's size and a mark
	if size < tail {
		return nil // the decoder has words for that
	}
	b := make([]byte, tail)
	if _, err := t.f.ReadAt(b, size-tail); err != nil {
		return err
	}
	if footer := int64(binary.LittleEndian.Uint32(b)); footer > size-tail {
		return t.damaged(fmt.Errorf("a footer of %d bytes in a file of %d", footer, size))
	}
	return nil
}

func canonicalType(col *parquet.Column) (Type, bool) {
	if !col.Leaf() || col.Repeated() {
		return "", false
	}
	var logical format.LogicalTypeValue
	if l := col.Type().LogicalType(); l != nil {
		logical = l.Value
	}
	switch col.Type().Kind() {
	case parquet.Boolean:
		return Bool, true
	case parquet.Double:
		return Float, true
	case parquet.ByteArray:
		switch logical.(type) {
		case nil, *format.StringType, *format.EnumType, *format.JsonType:
			return String, true
		}
	case parquet.Int64:
		switch l := logical.(type) {
		case nil:
			return Int, true
		case *format.IntType:
			return Int, l.BitWidth == 64 && l.IsSigned
		case *format.TimestampType:
			_, micros := l.Unit.Value.(*format.MicroSeconds)
			return Timestamp, micros
		}
	}
	return "", false
}

func (t *file) damaged(err error) error {
	return &Unreadable{Name: t.name, Reason: fmt.Sprintf("not a whole Parquet file (%v)", err), Try: "write the file again"}
}

func (t *file) Close() error { return t.f.Close() }
