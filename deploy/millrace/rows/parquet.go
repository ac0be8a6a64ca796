package rows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// readParquet reads a Parquet file, which has to lie on a disk for that.
func readParquet(ctx context.Context, r io.Reader, yield yielding) {
	dir, err := os.MkdirTemp("", "millrace-rows-")
	if err != nil {
		yield(nil, err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rows.parquet")
	if err := write(path, r); err != nil {
		yield(nil, err)
		return
	}
	if err := readTable(ctx, path, dir, yield); err != nil {
		yield(nil, err)
	}
}

func write(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

func readTable(ctx context.Context, path, dir string, yield yielding) (err error) {
	t, err := table.Open(path, nil)
	if unreadable := (*table.Unreadable)(nil); errors.As(err, &unreadable) {
		// Other types than the canonical ones: DuckDB knows them all.
		canonical := filepath.Join(dir, "canonical.parquet")
		if _, err := duck.Convert(ctx, duck.Source{Path: path, Name: "rows.parquet"}, nil, canonical, duck.Limits{}); err != nil {
			return err
		}
		t, err = table.Open(canonical, nil)
		if err != nil {
			return err
		}
	} else if err != nil {
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

// object is one row of a batch by column.
func object(b *table.Batch, row int) map[string]any {
	o := make(map[string]any, len(b.Schema))
	for i, c := range b.Schema {
		o[c.Name] = Value(c.Type, &b.Columns[i], row)
	}
	return o
}

// Value is one value of a column as JSON has it; nil for a null and for a
// float that JSON has no number for.
func Value(typ table.Type, v *table.Vector, row int) any {
	if v.Null(row) {
		return nil
	}
	switch typ {
	case table.String:
		return v.Strings[row]
	case table.Float:
		if f := v.Floats[row]; !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return nil
	case table.Bool:
		return v.Bools[row]
	case table.Timestamp:
		return time.UnixMicro(v.Ints[row]).UTC().Format(time.RFC3339Nano)
	default:
		return v.Ints[row]
	}
}
