package table

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// RowSet is a set of rows of a table, by their numbers from 0. The zero value is
// empty.
type RowSet struct {
	bits []uint64
	n    int64
}

// Len returns the number of rows in the set.
func (s *RowSet) Len() int64 { return s.n }

// Has reports whether a row is in the set.
func (s *RowSet) Has(row int64) bool {
	return row/64 < int64(len(s.bits)) && s.bits[row/64]&(1<<(row%64)) != 0
}

func (s *RowSet) add(row int64) {
	for row/64 >= int64(len(s.bits)) {
		s.bits = append(s.bits, 0)
	}
	s.bits[row/64] |= 1 << (row % 64)
	s.n++
}

// Superseded returns for each of the canonical tables at paths, the oldest first,
// the rows that a newer row with the same values in columns supersedes: a row of a
// later table, or a later row of the same one. Rows with a null in one of the
// columns are not superseded. Memory is 1 bit a row and a constant; the rest is
// in a temporary file in the folder dir, 28 bytes a row.
func Superseded(ctx context.Context, dir string, columns, paths []string) (_ []RowSet, err error) {
	var rows int64
	for _, path := range paths {
		r, err := Open(path, columns)
		if err != nil {
			return nil, err
		}
		rows += r.Rows()
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	file, err := os.CreateTemp(dir, "superseded-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	parts := newKeyParts(file, rows)
	for i, path := range paths {
		err := Keys(ctx, path, columns, func(first int64, keys []Key, null []bool) error {
			for k, key := range keys {
				if null[k] {
					continue
				}
				if err := parts.add(keyedRow{key, int32(i), first + int64(k)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	sets := make([]RowSet, len(paths))
	err = parts.each(func(rows []keyedRow) error {
		slices.SortFunc(rows, keyedRow.compare)
		for i := range len(rows) - 1 {
			if rows[i].Key == rows[i+1].Key {
				sets[rows[i].file].add(rows[i].row)
			}
		}
		return context.Cause(ctx)
	})
	return sets, err
}

// keyedRow is a row of a file and its key.
type keyedRow struct {
	Key
	file int32
	row  int64
}

const keyedRowBytes = 28

func (r keyedRow) compare(o keyedRow) int {
	return cmp.Or(cmp.Compare(r.Hi, o.Hi), cmp.Compare(r.Lo, o.Lo), cmp.Compare(r.file, o.file), cmp.Compare(r.row, o.row))
}

// keyParts divides rows by their keys into parts that fit into memory.
type keyParts struct {
	file  *os.File
	size  int64
	shift int
	parts []keyPart
}

type keyPart struct {
	pending []byte
	blocks  []int64 // where in the file blocks of partBytes each are
}

// partBytes is how much of a part is written at once.
const partBytes = keyedRowBytes << 11

func newKeyParts(file *os.File, rows int64) *keyParts {
	p := &keyParts{file: file, shift: 64}
	n := 1
	for ; int64(n)*inMemory < rows && n < 1<<10; n *= 2 {
		p.shift--
	}
	p.parts = make([]keyPart, n)
	return p
}

func (p *keyParts) add(r keyedRow) error {
	part := &p.parts[r.Hi>>p.shift]
	b := binary.LittleEndian.AppendUint64(part.pending, r.Hi)
	b = binary.LittleEndian.AppendUint64(b, r.Lo)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.file))
	part.pending = binary.LittleEndian.AppendUint64(b, uint64(r.row))
	if len(part.pending) < partBytes {
		return nil
	}
	if _, err := p.file.WriteAt(part.pending, p.size); err != nil {
		return fmt.Errorf("write the keys of rows: %w", err)
	}
	part.blocks = append(part.blocks, p.size)
	p.size += partBytes
	part.pending = part.pending[:0]
	return nil
}

// each calls f with the rows of each part.
func (p *keyParts) each(f func([]keyedRow) error) error {
	var rows []keyedRow
	block := make([]byte, partBytes)
	for i := range p.parts {
		part := &p.parts[i]
		rows = rows[:0]
		for _, at := range part.blocks {
			if _, err := p.file.ReadAt(block, at); err != nil {
				return fmt.Errorf("read the keys of rows: %w", err)
			}
			rows = appendKeyedRows(rows, block)
		}
		if err := f(appendKeyedRows(rows, part.pending)); err != nil {
			return err
		}
	}
	return nil
}

func appendKeyedRows(rows []keyedRow, b []byte) []keyedRow {
	for ; len(b) > 0; b = b[keyedRowBytes:] {
		rows = append(rows, keyedRow{
			Key:  Key{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])},
			file: int32(binary.LittleEndian.Uint32(b[16:])), row: int64(binary.LittleEndian.Uint64(b[20:])),
		})
	}
	return rows
}

// Without writes the canonical table at path without some of its rows to the file
// out, and returns how many rows are left. Without any, no file is written.
func Without(ctx context.Context, path, out string, drop *RowSet) (left int64, err error) {
	in, err := Open(path, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if in.Rows() == drop.Len() {
		return 0, nil
	}
	w, err := Create(out, in.Schema())
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	chosen := Batch{Schema: in.Schema(), Columns: make([]Vector, len(in.schema))}
	var rows []int
	for first := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		b, err := in.Next(8 * portion)
		if errors.Is(err, io.EOF) {
			return w.Rows(), w.Close()
		}
		if err != nil {
			return 0, err
		}
		rows = rows[:0]
		for i := range b.Rows {
			if !drop.Has(first + int64(i)) {
				rows = append(rows, i)
			}
		}
		first += int64(b.Rows)
		chosen.choose(b, rows)
		if err := w.Write(&chosen); err != nil {
			return 0, err
		}
	}
}
