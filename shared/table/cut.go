package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The ways to cut.
const (
	ByTime = "time"
	ByHash = "hash"
)

// Cut divides a table into a part to train on and a part to judge by.
type Cut struct {
	Fraction float64       // of the rows that are held out, above 0 and below 1
	By       string        // ByTime or ByHash
	Time     string        // the timestamp column; by time, the newest rows are held out
	Group    []string      // by hash: rows equal in these columns stay together; none means all columns
	Gap      time.Duration // by time: rows of the last Gap before the hold-out are in neither part
	Span     time.Duration // if any: rows older than this, seen from the newest row's Time, are in neither part
}

// Apply writes the rows of the files in: those to train on to trainDir, a file
// for each input that has any (part-00000.parquet, ...), the held-out ones to
// holdoutPath, and returns their numbers. Rows keep the order they came in; no
// row is in both parts; rows of the same time (or group) are on the same side.
// By time, the side is chosen so that the hold-out's size comes closest to
// Fraction; by hash, it is Fraction of the groups on average.
//
// The same input and Cut always give the same bytes, and a second Apply to the
// same places replaces what the first wrote. An empty part is an *[Unreadable]
// that says why.
func (c Cut) Apply(ctx context.Context, in []string, trainDir, holdoutPath string) (train, holdout int64, err error) {
	schema, err := unionSchema(in)
	if err != nil {
		return 0, 0, err
	}
	side, err := c.side(ctx, in, schema)
	if err != nil {
		return 0, 0, err
	}
	if err := os.MkdirAll(trainDir, 0o755); err != nil {
		return 0, 0, err
	}
	held, err := Create(holdoutPath, schema)
	if err != nil {
		return 0, 0, err
	}
	defer held.Abort()
	var parts []string
	defer func() {
		if err != nil {
			for _, part := range parts {
				os.Remove(part)
			}
		}
	}()
	for _, path := range in {
		part := filepath.Join(trainDir, fmt.Sprintf("part-%05d.parquet", len(parts)))
		rows, err := divide(ctx, path, schema, side, part, held)
		if err != nil {
			return 0, 0, err
		}
		if rows > 0 {
			parts = append(parts, part)
		}
		train += rows
	}
	holdout = held.Rows()
	switch {
	case train == 0:
		return 0, 0, &Unreadable{Reason: fmt.Sprintf("nothing is left to train on: %d rows are held out", holdout), Try: "add data, or make the hold-out or its gap smaller"}
	case holdout == 0:
		return 0, 0, &Unreadable{Reason: fmt.Sprintf("nothing is held out of %d rows", train), Try: "add data, or make the hold-out larger"}
	}
	return train, holdout, held.Close()
}

// The sides a row can be on.
const (
	toTrain = iota
	toHoldout
	toNeither
)

// sides says for the rows of a batch on which side each is.
type sides func(b *Batch, side []uint8)

func (c Cut) side(ctx context.Context, in []string, schema Schema) (sides, error) {
	if !(c.Fraction > 0 && c.Fraction < 1) {
		return nil, fmt.Errorf("cut a table: a fraction of %v is not between 0 and 1", c.Fraction)
	}
	var times *timeline
	if c.By == ByTime || c.Span > 0 {
		i := schema.Index(c.Time)
		if i < 0 {
			return nil, MissingColumns("the cut by time", []string{c.Time}, schema.Names())
		}
		if schema[i].Type != Timestamp {
			return nil, &Unreadable{Column: c.Time, Reason: fmt.Sprintf("column %q is %s, and a cut by time needs a timestamp", c.Time, schema[i].Type)}
		}
		var err error
		if times, err = survey(ctx, in, c.Time, c.Span); err != nil {
			return nil, err
		}
	}
	switch c.By {
	case ByTime:
		from, err := times.newest(ctx, c.Fraction)
		if err != nil {
			return nil, err
		}
		return within(times, byTime(schema.Index(c.Time), from, c.Gap)), nil
	case ByHash:
		columns := c.Group
		if len(columns) == 0 {
			columns = schema.Names()
		}
		var missing []string
		for _, name := range columns {
			if schema.Index(name) < 0 {
				missing = append(missing, name)
			}
		}
		if missing != nil {
			return nil, MissingColumns("the hold-out by hash", missing, schema.Names())
		}
		return within(times, byHash(columns, c.Fraction)), nil
	}
	return nil, fmt.Errorf("cut a table: by %q, which is neither %q nor %q", c.By, ByTime, ByHash)
}

// within leaves out rows older than times goes back; nil times goes back for
// ever.
func within(times *timeline, side sides) sides {
	if times == nil {
		return side
	}
	return func(b *Batch, sideOf []uint8) {
		side(b, sideOf)
		for i, t := range b.Column(times.column).Ints {
			if t < times.least {
				sideOf[i] = toNeither
			}
		}
	}
}

func byTime(column int, from int64, gap time.Duration) sides {
	return func(b *Batch, side []uint8) {
		for i, t := range b.Columns[column].Ints {
			switch {
			case t >= from:
				side[i] = toHoldout
			case from-t <= gap.Microseconds() && gap > 0:
				side[i] = toNeither
			default:
				side[i] = toTrain
			}
		}
	}
}

func byHash(columns []string, fraction float64) sides {
	var hashes []uint64
	return func(b *Batch, side []uint8) {
		hashes = grow(hashes[:0], b.Rows)
		for _, name := range columns {
			hashColumn(hashes, name, b.Column(name))
		}
		for i, h := range hashes {
			side[i] = toTrain
			if float64(mix(h)>>11)/(1<<53) < fraction {
				side[i] = toHoldout
			}
		}
	}
}

// divide writes one file's rows to the side they belong on and returns how many
// went to the file part, which is not there if none did.
func divide(ctx context.Context, path string, schema Schema, side sides, part string, held *Writer) (int64, error) {
	in, err := openAs(path, schema)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	kept, err := Create(part, schema)
	if err != nil {
		return 0, err
	}
	defer kept.Abort()
	var sideOf []uint8
	var rows []int
	chosen := Batch{Schema: schema, Columns: make([]Vector, len(schema))}
	for {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		b, err := in.Next(8 * portion)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		sideOf = grow(sideOf[:0], b.Rows)
		side(b, sideOf)
		for s, w := range []*Writer{toTrain: kept, toHoldout: held} {
			rows = rows[:0]
			for i := range sideOf {
				if int(sideOf[i]) == s {
					rows = append(rows, i)
				}
			}
			chosen.choose(b, rows)
			if err := w.Write(&chosen); err != nil {
				return 0, err
			}
		}
	}
	if kept.Rows() == 0 {
		return 0, nil
	}
	return kept.Rows(), kept.Close()
}

// choose makes c the given rows of b.
func (c *Batch) choose(b *Batch, rows []int) {
	c.Rows = len(rows)
	for k, col := range b.Schema {
		from, to := &b.Columns[k], &c.Columns[k]
		switch col.Type {
		case String:
			to.Strings = pick(to.Strings, from.Strings, rows)
		case Float:
			to.Floats = pick(to.Floats, from.Floats, rows)
		case Bool:
			to.Bools = pick(to.Bools, from.Bools, rows)
		default:
			to.Ints = pick(to.Ints, from.Ints, rows)
		}
		to.Nulls = nil
		if from.Nulls != nil {
			to.Nulls = pick(nil, from.Nulls, rows)
		}
	}
}

func pick[T any](to, from []T, rows []int) []T {
	to = to[:0]
	for _, i := range rows {
		to = append(to, from[i])
	}
	return to
}
