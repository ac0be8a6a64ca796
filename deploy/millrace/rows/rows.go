// Package rows reads the rows of a file that is to be predicted as uploads are
// read: CSV, JSON or Parquet, compressed or not, by the rules of the contract.
// Each row is a JSON object by column.
package rows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// Rows are rows, or the error that ended them.
type Rows = iter.Seq2[json.RawMessage, error]

// Read reads the rows of in, which are converted by how. name is the name of the
// file, whose extension is its format; without one that is known, its first
// bytes say what it is. No row is yielded unless all can be read: what is wrong
// is an error of one or several *[table.Unreadable]. Nothing is no row.
func Read(ctx context.Context, in io.Reader, name string, how *duck.PrepareInput) Rows {
	return func(yield func(json.RawMessage, error) bool) {
		if err := read(ctx, in, name, how, yield); err != nil {
			yield(nil, err)
		}
	}
}

func read(ctx context.Context, in io.Reader, name string, how *duck.PrepareInput, yield func(json.RawMessage, error) bool) error {
	dir, err := os.MkdirTemp("", "millrace-rows-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	src, err := store(in, name, filepath.Join(dir, "rows"))
	if err != nil || src == nil {
		return err
	}
	canonical := filepath.Join(dir, "canonical.parquet")
	if _, err := duck.ConvertApart(ctx, *src, how, canonical, duck.Limits{}); err != nil {
		for _, u := range table.Unreadables(err) {
			if u.Name == src.Name {
				u.Name = name
			}
		}
		return err
	}
	return objects(canonical, yield)
}

// objects yields the rows of a canonical table, until yield has enough.
func objects(path string, yield func(json.RawMessage, error) bool) (err error) {
	t, err := table.Open(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	const batch = 1000
	for {
		b, err := t.Next(batch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range b.Rows {
			raw, err := json.Marshal(object(b, i))
			if err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
			if !yield(raw, nil) {
				return nil
			}
		}
	}
}
