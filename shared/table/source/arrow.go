package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"millrace.dev/shared/table"
)

// arrowMagic is how an Arrow file begins and ends. A stream has neither.
const (
	arrowMagic  = "ARROW1"
	arrowPrefix = arrowMagic + "\x00\x00"
	// featherMagic is how files of Feather's first version begin.
	featherMagic = "FEA1"
	// arrowEnd is how a stream ends, and the part of a file before its footer.
	arrowEnd = "\xff\xff\xff\xff\x00\x00\x00\x00"
)

// readArrow writes an Arrow file or stream as a table in which nothing is lost,
// and converts that one by the rules of the contract.
func (in *input) readArrow(ctx context.Context, b *builder) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(b.out), "arrow-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := Plain(ctx, in.src, in.lim, dir)
	if err != nil {
		return err
	}
	plain := filepath.Join(dir, "natural.parquet")
	natural, err := in.copyArrow(ctx, path, plain)
	if err != nil {
		return err
	}
	return in.convert(ctx, b, plain, natural)
}

// copyArrow writes the Arrow file at path as a canonical table to plain.
func (in *input) copyArrow(ctx context.Context, path, plain string) (natural []Natural, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	left, err := in.inspectArrow(f)
	if err != nil {
		return nil, err
	}
	mem := &arrowMemory{limit: min(in.lim.Bytes, maxArrowBatch)}
	defer func() {
		// The reader may panic where a file is damaged.
		if r := recover(); r != nil {
			err = in.damagedArrow(mem, fmt.Errorf("%v", r))
		}
	}()
	r, err := ipc.NewReader(&messages{r: bufio.NewReaderSize(f, 256<<10), left: left}, ipc.WithAllocator(mem))
	if err != nil {
		return nil, in.damagedArrow(mem, err)
	}
	defer r.Release()
	columns, err := in.arrowColumns(r.Schema())
	if err != nil {
		return nil, err
	}
	schema := make(table.Schema, len(columns))
	for i, c := range columns {
		schema[i] = table.Column{Name: c.natural.Name, Type: c.stored}
		natural = append(natural, c.natural)
	}
	w, err := table.Create(plain, schema)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	for r.Next() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := in.copyBatch(w, columns, r.RecordBatch()); err != nil {
			return nil, err
		}
		if err := in.rowsAllowed(w.Rows()); err != nil {
			return nil, err
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, in.damagedArrow(mem, err)
	}
	return natural, w.Close()
}

// copyBatch writes the rows of a batch.
func (in *input) copyBatch(w *table.Writer, columns []*arrowColumn, batch arrow.RecordBatch) error {
	const most = 8192
	for from := 0; from < int(batch.NumRows()); from += most {
		to := min(from+most, int(batch.NumRows()))
		rows := &table.Batch{Rows: to - from, Columns: make([]table.Vector, len(columns))}
		for i, c := range columns {
			v, row, err := c.vector(batch.Column(i), from, to)
			if err != nil {
				u := in.reject(fmt.Sprintf("row %d, column %q: %v", w.Rows()+int64(row)+1, c.natural.Name, err), "leave this column out, or convert it before")
				u.Column = c.natural.Name
				return u
			}
			rows.Columns[i] = v
		}
		if err := w.Write(rows); err != nil {
			return err
		}
	}
	return nil
}

// inspectArrow refuses what is not an Arrow file or stream, or not a whole one,
// and leaves f at its first message. It returns how many bytes follow.
func (in *input) inspectArrow(f *os.File) (left int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	const least = int64(len(arrowPrefix) + len(arrowMagic))
	if info.Size() < least {
		return 0, in.reject("it is too short to be an Arrow file", "write the file again")
	}
	head, tail := make([]byte, len(arrowPrefix)), make([]byte, len(arrowEnd))
	if _, err := io.ReadFull(f, head); err != nil {
		return 0, err
	}
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return 0, err
	}
	isFile := strings.HasPrefix(string(head), arrowMagic)
	switch is := misnamed(head); {
	case strings.HasPrefix(string(head), featherMagic):
		return 0, in.reject("it is a file of Feather version 1, which is no longer written", "write it as Feather version 2, Arrow or Parquet")
	case is != "" && !isFile:
		return 0, in.reject("its name says Arrow, but it is "+is, "")
	case isFile && !strings.HasSuffix(string(tail), arrowMagic):
		return 0, in.reject("the Arrow file is cut off: its end is missing", "write or copy it again")
	case !isFile && string(tail) != arrowEnd:
		return 0, in.reject("the Arrow stream is cut off: the mark at its end is missing", "write it again, and close its writer")
	case isFile:
		return info.Size() - int64(len(head)), nil // the messages begin behind the magic
	}
	_, err = f.Seek(0, io.SeekStart)
	return info.Size(), err
}

func (in *input) damagedArrow(mem *arrowMemory, err error) error {
	if mem.refused {
		return in.reject(fmt.Sprintf("uncompressed, one of its batches has more than the %s that are allowed", size(mem.limit)), "write it in smaller batches")
	}
	return in.reject(fmt.Sprintf("the Arrow file is damaged (%s)", strings.TrimPrefix(oneLine(err.Error()), "arrow/ipc: ")), "write the file again")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// messages is what an [ipc.Reader] reads. The reader makes room for what a
// message says that it has before it reads it; that is refused if the file is
// shorter.
type messages struct {
	r    io.Reader
	left int64
}

func (m *messages) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.left -= int64(n)
	const word, more = 4, math.MaxUint32 // a length, and the mark before it
	if len(p) == word && n == word {
		if length := binary.LittleEndian.Uint32(p); length != more && int64(length) > m.left {
			return 0, fmt.Errorf("a message of %d bytes, where %d are left", length, m.left)
		}
	}
	return n, err
}

// maxArrowBatch is how many bytes a batch may have, uncompressed.
const maxArrowBatch = 1 << 30

// arrowMemory allocates up to a limit: a file says how much memory it needs.
type arrowMemory struct {
	limit, used int64
	refused     bool
}

func (m *arrowMemory) Allocate(size int) []byte {
	if size < 0 || m.used+int64(size) > m.limit {
		m.refused = true
		panic("too much memory")
	}
	m.used += int64(size)
	return make([]byte, size)
}

func (m *arrowMemory) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) && size >= 0 {
		return b[:size]
	}
	grown := m.Allocate(size)
	copy(grown, b)
	m.Free(b)
	return grown
}

func (m *arrowMemory) Free(b []byte) { m.used -= int64(cap(b)) }
