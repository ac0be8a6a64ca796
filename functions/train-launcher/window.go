package trainlauncher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// source is a partition that is trained on.
type source struct {
	events.DatasetPartition
	// path is its file, empty before it was needed.
	path string
	// from and to are its times, in microseconds; set for a window of time.
	from, to int64
}

// window chooses the partitions of the pipeline's window: the newest by
// number, or those that reach into the newest span of time.
func (f *F) window(ctx context.Context, c *config.Pipeline, all []events.DatasetPartition) ([]source, error) {
	w := c.Spec.Data.Window
	if w.Partitions > 0 {
		all = all[max(0, len(all)-w.Partitions):]
	}
	in := make([]source, len(all))
	for i, p := range all {
		in[i].DatasetPartition = p
	}
	if w.Span == 0 {
		return in, nil
	}
	newest := int64(math.MinInt64)
	for i := range in {
		s := &in[i]
		if err := f.fetch(ctx, s); err != nil {
			return nil, err
		}
		var err error
		if s.from, s.to, err = times(ctx, s.path, c.Spec.Data.Time); err != nil {
			return nil, fmt.Errorf("read the times of partition %s: %w", s.Data.Short(), err)
		}
		newest = max(newest, s.to)
	}
	return slices.DeleteFunc(in, func(s source) bool { return s.to <= newest-w.Span.Std().Microseconds() || s.to < s.from }), nil
}

// fetch makes sure that the source's file is on this machine.
func (f *F) fetch(ctx context.Context, s *source) (err error) {
	if s.path != "" {
		return nil
	}
	if s.path, err = f.deps.Artifacts.Path(ctx, s.Data); err != nil {
		return fmt.Errorf("fetch partition %s: %w", s.Data.Short(), err)
	}
	return nil
}

// times gives the first and the last time of a partition; rows without a time
// do not count.
func times(ctx context.Context, path, column string) (from, to int64, err error) {
	from, to = math.MaxInt64, math.MinInt64
	err = eachBatch(ctx, path, []string{column}, func(b *table.Batch) error {
		v := &b.Columns[0]
		for i, t := range v.Ints {
			if !v.Null(i) {
				from, to = min(from, t), max(to, t)
			}
		}
		return nil
	})
	return from, to, err
}

// narrow gives the files of the sources without the rows that are older than
// the window's span: the sources' own where none are, and else copies in dir.
func (f *F) narrow(ctx context.Context, c *config.Pipeline, in []source, dir string) ([]string, error) {
	span := c.Spec.Data.Window.Span.Std().Microseconds()
	newest := int64(math.MinInt64)
	for _, s := range in {
		newest = max(newest, s.to)
	}
	paths := make([]string, len(in))
	for i, s := range in {
		if err := f.fetch(ctx, &s); err != nil {
			return nil, err
		}
		paths[i] = s.path
		if span == 0 || s.from > newest-span {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		paths[i] = filepath.Join(dir, fmt.Sprintf("%05d.parquet", i))
		if err := newer(ctx, s.path, paths[i], c.Spec.Data.Time, newest-span); err != nil {
			return nil, fmt.Errorf("narrow partition %s to data.window: %w", s.Data.Short(), err)
		}
	}
	return paths, nil
}

// newer copies the rows of a file that are newer than begin.
func newer(ctx context.Context, from, to, column string, begin int64) error {
	schema, _, err := table.ReadSchema(from)
	if err != nil {
		return err
	}
	out, err := table.Create(to, schema)
	if err != nil {
		return err
	}
	defer out.Abort()
	err = eachBatch(ctx, from, nil, func(b *table.Batch) error {
		when := b.Column(column)
		var rows []int
		for i, t := range when.Ints {
			if !when.Null(i) && t > begin {
				rows = append(rows, i)
			}
		}
		return out.Write(choose(b, rows))
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// choose gives the rows of a batch.
func choose(b *table.Batch, rows []int) *table.Batch {
	out := &table.Batch{Schema: b.Schema, Rows: len(rows), Columns: make([]table.Vector, len(b.Columns))}
	for i, v := range b.Columns {
		out.Columns[i] = table.Vector{
			Strings: pick(v.Strings, rows), Ints: pick(v.Ints, rows), Floats: pick(v.Floats, rows), Bools: pick(v.Bools, rows), Nulls: pick(v.Nulls, rows),
		}
	}
	return out
}

func pick[T any](from []T, rows []int) []T {
	if from == nil {
		return nil
	}
	to := make([]T, len(rows))
	for i, row := range rows {
		to[i] = from[row]
	}
	return to
}

const batchRows = 8192

func eachBatch(ctx context.Context, path string, columns []string, f func(*table.Batch) error) error {
	r, err := table.Open(path, columns)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := r.Next(batchRows)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
	}
}
