package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The ways to split a table.
const (
	ByTime   = "time"
	ByHash   = "hash"
	ByRandom = "random"
	ByFile   = "file"
)

// Split divides a table into a train part and a hold-out part.
type Split struct {
	Fraction float64       // of the rows that are held out, above 0 and below 1
	By       string        // ByTime, ByHash, ByRandom or ByFile
	Time     string        // the timestamp column; by time, the newest rows are held out
	Group    []string      // by hash: rows equal in these columns stay together; none means Features and Key
	Gap      time.Duration // by time: rows of the last Gap before the hold-out are in neither part
	Span     time.Duration // if any: rows that are this old or older, seen from the newest row's Time, are in neither part

	// Features and Label are the columns a model is trained with. Both parts
	// have the features first, in this order, then the label, then the rest.
	// By hash, the label has no say in where a row goes: where rows repeat, the
	// rows of one answer would be on one side and those of the other answer on
	// the other. No column beside the features has, since it may say the label
	// in other words. Without Features, all columns but the label count.
	Features []string
	Label    string
	Key      []string // by hash: columns that tell two rows with equal features apart, such as an id

	// By random, a row's side follows from the seed, the name of its file (its
	// index, if there are no names) and its number in the file: no value counts.
	Seed  int64
	Names []string
	// Held, by file, says which files are held out whole. Their rows do not count
	// for Span and are in the hold-out whatever their Time.
	Held []bool
	// Identity, by random, are columns that say what a row is about: its side
	// follows from their values and the seed, and not from its place, so that an
	// updated row stays on its side.
	Identity []string
	// Stratify, by random, holds out Fraction of the rows of each label.
	Stratify bool
}

// Parts is what a split made.
type Parts struct {
	Train, Holdout int64 // rows
	// Warnings are what makes a judgement on the hold-out doubtful, one for each
	// of the checks SplitFraction to SplitUndated that found something.
	Warnings []Broken
}

// Apply writes the rows of the files in: those to train on to trainDir, a file
// for each input that has any (part-00000.parquet, ...), the held-out ones to
// holdoutPath, and returns their numbers. Rows keep the order they came in; no
// row is in both parts; rows of the same time (or group) are on the same side.
// By time, the side is chosen so that the hold-out's size comes closest to
// Fraction; by hash, it is Fraction of the groups on average, or comes closest to
// Fraction of the rows where that would be far from it; by random, it is Fraction
// of the rows on average, and of each label's rows almost exactly when
// stratified. No side is empty if there are two times, groups or rows. Rows
// without a Time are in neither part, if Time decides.
//
// The same input and Split always give the same bytes, and a second Apply to the
// same places replaces what the first wrote. An empty part is an *[Unreadable]
// that says why.
func (s Split) Apply(ctx context.Context, in []string, trainDir, holdoutPath string) (made Parts, err error) {
	schema, err := unionSchema(in)
	if err != nil {
		return Parts{}, err
	}
	schema = s.arrange(schema)
	d := &division{ctx: ctx, schema: schema, census: newCensus(s, schema)}
	if d.side, err = s.side(ctx, in, schema); err != nil {
		return Parts{}, err
	}
	if err := os.MkdirAll(trainDir, 0o755); err != nil {
		return Parts{}, err
	}
	if d.held, err = Create(holdoutPath, schema); err != nil {
		return Parts{}, err
	}
	defer d.held.Abort()
	var parts []string
	defer func() {
		if err != nil {
			for _, part := range parts {
				os.Remove(part)
			}
		}
	}()
	for i, path := range in {
		part := filepath.Join(trainDir, fmt.Sprintf("part-%05d.parquet", len(parts)))
		rows, err := d.file(i, path, part)
		if err != nil {
			return Parts{}, err
		}
		if rows > 0 {
			parts = append(parts, part)
		}
		made.Train += rows
	}
	made.Holdout = d.held.Rows()
	switch {
	case made.Train+made.Holdout > 1 && made.Train*made.Holdout == 0 && s.By == ByHash:
		equal := "their features"
		if len(s.Group) > 0 {
			equal = strings.Join(s.Group, ", ")
		}
		return Parts{}, &Unreadable{Reason: fmt.Sprintf("all %d rows are equal in %s, so that a hold-out by hash has them on one side", made.Train+made.Holdout, equal), Try: "add data, or hold out by: random"}
	case s.By == ByFile && made.Train == 0:
		return Parts{}, &Unreadable{Reason: fmt.Sprintf("nothing is left to train on: all %d rows are of files that are held out", made.Holdout), Try: "add data"}
	case made.Train == 0:
		return Parts{}, &Unreadable{Reason: fmt.Sprintf("nothing is left to train on: %d rows are held out", made.Holdout), Try: "add data, or make the hold-out or its gap smaller"}
	case made.Holdout == 0:
		return Parts{}, &Unreadable{Reason: fmt.Sprintf("nothing is held out of %d rows", made.Train), Try: "add data, or make the hold-out larger"}
	}
	made.Warnings = d.census.warnings(made)
	return made, d.held.Close()
}

// arrange returns the columns in the order of the parts: features, label, rest.
func (s Split) arrange(schema Schema) Schema {
	out := make(Schema, 0, len(schema))
	for _, name := range append(slices.Clone(s.Features), s.Label) {
		if i := schema.Index(name); i >= 0 && out.Index(name) < 0 {
			out = append(out, schema[i])
		}
	}
	for _, c := range schema {
		if out.Index(c.Name) < 0 {
			out = append(out, c)
		}
	}
	return out
}

// division writes rows to the sides they belong on.
type division struct {
	ctx    context.Context
	schema Schema
	side   sides
	held   *Writer
	census *census
}

// file writes the rows of the input with this index to the file part and to the
// hold-out, and returns how many went to part, which does not exist if none did.
func (d *division) file(index int, path, part string) (int64, error) {
	kept, err := Create(part, d.schema)
	if err != nil {
		return 0, err
	}
	defer kept.Abort()
	var sideOf []uint8
	var rows []int
	chosen := Batch{Schema: d.schema, Columns: make([]Vector, len(d.schema))}
	err = eachPlaced(d.ctx, index, path, d.schema, func(b *placed) error {
		sideOf = grow(sideOf[:0], b.Rows)
		d.side(b, sideOf)
		d.census.add(b, sideOf)
		for s, w := range []*Writer{toTrain: kept, toHoldout: d.held} {
			rows = rows[:0]
			for i := range sideOf {
				if int(sideOf[i]) == s {
					rows = append(rows, i)
				}
			}
			chosen.choose(b.Batch, rows)
			if err := w.Write(&chosen); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || kept.Rows() == 0 {
		return 0, err
	}
	return kept.Rows(), kept.Close()
}

// placed is a batch and where it stands: in which file of the input, and after
// how many rows.
type placed struct {
	*Batch
	file  int
	first int64
}

// eachPlaced calls f with the rows of a file, as if it had all columns of the
// schema.
func eachPlaced(ctx context.Context, index int, path string, schema Schema, f func(*placed) error) error {
	in, err := openAs(path, schema)
	if err != nil {
		return err
	}
	defer in.Close()
	for at := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b, err := in.Next(8 * portion)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(&placed{Batch: b, file: index, first: at}); err != nil {
			return err
		}
		at += int64(b.Rows)
	}
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
