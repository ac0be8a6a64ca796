package table

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go/bloom/xxhash"
)

// The sides a row can be on.
const (
	toTrain = iota
	toHoldout
	toNeither
)

// sides says for the rows of a batch on which side each is.
type sides func(b *placed, side []uint8)

func (s Split) side(ctx context.Context, in []string, schema Schema) (sides, error) {
	if !(s.Fraction > 0 && s.Fraction < 1) && s.By != ByFile {
		return nil, fmt.Errorf("split a table: a fraction of %v is not between 0 and 1", s.Fraction)
	}
	if s.Stratify && s.By != ByRandom {
		return nil, fmt.Errorf("split a table: stratify needs a split by %q, and this is by %q", ByRandom, s.By)
	}
	times, err := s.timeline(ctx, in, schema)
	if err != nil {
		return nil, err
	}
	switch s.By {
	case ByTime:
		from, err := times.newest(ctx, s.Fraction)
		if err != nil {
			return nil, err
		}
		return within(times, byTime(schema.Index(s.Time), from, s.Gap)), nil
	case ByFile:
		return s.byFile(times), nil
	case ByHash:
		columns := s.hashed(schema)
		if missing := missingOf(columns, schema); missing != nil {
			return nil, MissingColumns("the hold-out by hash", missing, schema.Names())
		}
		return s.byDraw(ctx, in, schema, times, hashDraw(columns))
	case ByRandom:
		if missing := missingOf(s.Identity, schema); missing != nil {
			return nil, MissingColumns("the hold-out by random", missing, schema.Names())
		}
		if s.Stratify && schema.Index(s.Label) < 0 {
			return nil, MissingColumns("the stratified hold-out", []string{s.Label}, schema.Names())
		}
		return s.byDraw(ctx, in, schema, times, s.randomDraw())
	}
	return nil, fmt.Errorf("split a table: by %q, which is not %q, %q, %q or %q", s.By, ByTime, ByHash, ByRandom, ByFile)
}

// timeline surveys the time column, if the split needs it; else it is nil.
func (s Split) timeline(ctx context.Context, in []string, schema Schema) (*timeline, error) {
	if s.By != ByTime && s.Span <= 0 {
		return nil, nil //nolint:nilnil // no timeline is needed
	}
	i := schema.Index(s.Time)
	if i < 0 {
		return nil, MissingColumns("the split by time", []string{s.Time}, schema.Names())
	}
	if schema[i].Type != Timestamp {
		return nil, &Unreadable{Column: s.Time, Reason: fmt.Sprintf("column %q is %s, and a split by time needs a timestamp", s.Time, schema[i].Type)}
	}
	if s.By == ByFile {
		in = s.trained(in)
	}
	return survey(ctx, in, s.Time, s.Span)
}

// trained returns the files that are not held out whole.
func (s Split) trained(in []string) (out []string) {
	for i, path := range in {
		if !s.held(i) {
			out = append(out, path)
		}
	}
	return out
}

func (s Split) held(file int) bool { return file < len(s.Held) && s.Held[file] }

// byFile holds out whole files.
func (s Split) byFile(times *timeline) sides {
	train := within(times, func(_ *placed, side []uint8) { clear(side) }) // toTrain is 0
	return func(b *placed, side []uint8) {
		if !s.held(b.file) {
			train(b, side)
			return
		}
		for i := range side {
			side[i] = toHoldout
		}
	}
}

func missingOf(names []string, schema Schema) (missing []string) {
	for _, name := range names {
		if schema.Index(name) < 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// hashed returns the columns by whose values rows go to a side.
func (s Split) hashed(schema Schema) []string {
	if len(s.Group) > 0 {
		return s.Group
	}
	var columns []string
	for _, c := range schema {
		named := len(s.Features) == 0 || slices.Contains(s.Features, c.Name) || slices.Contains(s.Key, c.Name)
		if named && c.Name != s.Label {
			columns = append(columns, c.Name)
		}
	}
	return columns
}

// within leaves out rows older than times goes back, and rows without a time;
// nil times leaves out nothing.
func within(times *timeline, side sides) sides {
	if times == nil {
		return side
	}
	return func(b *placed, sideOf []uint8) {
		side(b, sideOf)
		column := b.Column(times.column)
		for i, t := range column.Ints {
			if t < times.least || column.Null(i) {
				sideOf[i] = toNeither
			}
		}
	}
}

func byTime(column int, from int64, gap time.Duration) sides {
	return func(b *placed, side []uint8) {
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

// draw gives each row of a batch a number from 0 on and below 1. The rows with
// the lowest are held out.
type draw func(b *placed, drawn []float64)

// unit is the hash as a number from 0 on and below 1.
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

func hashDraw(columns []string) draw {
	var hashes []uint64
	return func(b *placed, drawn []float64) {
		hashes = rowHashes(hashes, b.Batch, columns)
		for i, h := range hashes {
			drawn[i] = unit(mix(h))
		}
	}
}

// rowHashes returns the hashes of the rows' values in these columns, in the
// memory of hashes.
func rowHashes(hashes []uint64, b *Batch, columns []string) []uint64 {
	hashes = grow(hashes[:0], b.Rows)
	for _, name := range columns {
		hashColumn(hashes, name, b.Column(name))
	}
	return hashes
}

// golden is 2^64 over the golden ratio: multiples of it are far apart.
const golden = 0x9e3779b97f4a7c15

func (s Split) randomDraw() draw {
	seed := mix(uint64(s.Seed) + golden)
	if len(s.Identity) > 0 {
		var hashes []uint64
		return func(b *placed, drawn []float64) {
			hashes = rowHashes(hashes, b.Batch, s.Identity)
			for i, h := range hashes {
				drawn[i] = unit(mix(mix(h) ^ seed))
			}
		}
	}
	return func(b *placed, drawn []float64) {
		file := uint64(b.file)
		if b.file < len(s.Names) {
			file = xxhash.Sum64([]byte(s.Names[b.file]))
		}
		file = mix(file ^ seed)
		for i := range drawn {
			drawn[i] = unit(mix(file + golden*uint64(b.first+int64(i)+1)))
		}
	}
}

// byDraw holds out the rows that draw less than the bound, which is Fraction:
// so a row's side does not depend on the other rows. Where that is far from
// Fraction of the rows, since few different rows repeat, the bound moves to where
// it comes closest. Stratified, each label has the bound below which Fraction of
// its rows are.
func (s Split) byDraw(ctx context.Context, in []string, schema Schema, times *timeline, draw draw) (sides, error) {
	var drawn []float64
	var side []uint8
	all := &strata{fraction: s.Fraction}
	if s.Stratify {
		all.label = s.Label
	}
	counted := within(times, func(*placed, []uint8) {})
	for i, path := range in {
		err := eachPlaced(ctx, i, path, s.drawnFrom(schema), func(b *placed) error {
			drawn, side = grow(drawn[:0], b.Rows), grow(side[:0], b.Rows)
			draw(b, drawn)
			counted(b, side)
			return all.add(b.Batch, drawn, side)
		})
		if err != nil {
			return nil, err
		}
	}
	return within(times, func(b *placed, side []uint8) {
		drawn = grow(drawn[:0], b.Rows)
		draw(b, drawn)
		all.divide(b.Batch, drawn, side)
	}), nil
}

// drawnFrom returns the columns that byDraw looks at before it knows its bounds.
func (s Split) drawnFrom(schema Schema) Schema {
	names := append([]string{s.Label, s.Time}, s.Identity...)
	if s.By == ByHash {
		names = append(names, s.hashed(schema)...)
	}
	var out Schema
	for _, c := range schema {
		if slices.Contains(names, c.Name) {
			out = append(out, c)
		}
	}
	if out == nil {
		return schema[:min(1, len(schema))]
	}
	return out
}
