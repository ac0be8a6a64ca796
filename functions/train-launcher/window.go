package trainlauncher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// source is a partition to train on.
type source struct {
	events.DatasetPartition
	// held says that it is held out whole.
	held bool
	// path is its file, empty before it was needed.
	path string
	// from and to are its times, in microseconds; set for a window of time.
	from, to int64
}

// sources returns the partitions of the pipeline's window, and those that are
// held out whole, which no window leaves out. Without partitions to train on, or
// without those that are to be held out, it returns an *table.Unreadable.
func (f *F) sources(ctx context.Context, c *config.Pipeline, all []events.DatasetPartition) ([]source, error) {
	var train []events.DatasetPartition
	var held []source
	for _, p := range all {
		if c.HoldsOut(p.Object.Bucket, p.Object.Key) {
			held = append(held, source{DatasetPartition: p, held: true})
		} else {
			train = append(train, p)
		}
	}
	globs := c.Spec.Data.Holdout.Uploads
	switch {
	case len(globs) > 0 && len(held) == 0:
		return nil, &table.Unreadable{Reason: "there is no hold-out yet", Try: "upload a file that matches data.holdout.uploads: " + strings.Join(globs, ", ")}
	case len(train) == 0 && len(held) > 0:
		return nil, &table.Unreadable{Reason: "there is nothing to train on yet: all uploads are held out", Try: "upload data that does not match data.holdout.uploads: " + strings.Join(globs, ", ")}
	}
	in, err := f.window(ctx, c, train)
	if err != nil || len(in) == 0 {
		return nil, err
	}
	return append(in, held...), nil
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

// times returns the first and the last time of a partition; rows without a time
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
