package table

import (
	"context"
	"errors"
	"io"

	"github.com/zeebo/xxh3"
)

// Key is a digest of 128 bits of a row's values in some columns: equal values
// have equal keys, in every table in which the columns have the same types.
// Among 100 million different values, the probability that any two share a key is
// below 1e-22.
type Key struct{ Hi, Lo uint64 }

// Keys calls f with the keys of the rows of the canonical table at path, in their
// order, and which of the rows have a null in one of the columns. first is the
// number of the first of them, from 0. The slices are valid until f returns. A
// column that is not there is an *[Unreadable].
func Keys(ctx context.Context, path string, columns []string, f func(first int64, keys []Key, null []bool) error) (err error) {
	r, err := Open(path, columns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var keys []Key
	var null []bool
	var text []byte
	for first := int64(0); ; first += int64(len(keys)) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b, err := r.Next(8 * portion)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		keys, null = grow(keys[:0], b.Rows), grow(null[:0], b.Rows)
		for i := range keys {
			text = text[:0]
			for k, col := range b.Schema {
				v := &b.Columns[k]
				if v.Null(i) {
					null[i] = true
					text = append(text, 0)
					continue
				}
				text = appendKey(append(text, 1), col.Type, v, i)
			}
			h := xxh3.Hash128(text)
			keys[i] = Key{h.Hi, h.Lo}
		}
		if err := f(first, keys, null); err != nil {
			return err
		}
	}
}

// Examples returns the rows of the canonical table at path with these ascending
// numbers, from 0, as people read them: by column, and with RowKey.
func Examples(ctx context.Context, path string, rows []int64) (found []map[string]any, err error) {
	t, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	return t.examples(ctx, rows)
}
