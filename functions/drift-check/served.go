package driftcheck

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"millrace.dev/config"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// The columns of the prediction log that are no features.
const (
	versionColumn    = "version"
	predictionColumn = "prediction"
	scoreColumn      = "score"
)

// served is what was answered since the last check.
type served struct {
	batches  int
	rows     int64
	from, to string
	last     string // the newest batch's event
	// parts are the profiles of each feature's columns, one for a batch.
	parts map[string][]*table.Profile
	// answers are the champion's; nil if it gave none.
	answers *table.Profile
}

// batchRows is how many rows are read at a time.
const batchRows = 8192

// served measures the batches that no check has seen. Those whose bytes are
// gone are passed over.
func (f *F) served(ctx context.Context, p *state.Pipeline, ref reference) (_ *served, err error) {
	folder, err := f.deps.Artifacts.TempDir("drift-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s := &served{parts: map[string][]*table.Profile{}}
	answers := answerLog{path: filepath.Join(folder, "answers.parquet"), version: int64(ref.version)}
	defer answers.abort()

	for _, b := range p.Predictions.Unchecked {
		s.last = b.Event
		path, err := f.deps.Artifacts.Path(ctx, b.Ref)
		if errors.Is(err, artifact.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := s.measure(ctx, path, p.Config, ref); err != nil {
			return nil, err
		}
		s.batches++
		if s.from == "" || b.From < s.from {
			s.from = b.From
		}
		s.to = max(s.to, b.To)
		if slices.Contains(b.Versions, ref.version) {
			if err := answers.add(ctx, path); err != nil {
				return nil, err
			}
		}
	}
	s.answers, err = answers.profile(ctx)
	return s, err
}

// measure adds a batch's features.
func (s *served) measure(ctx context.Context, path string, p *config.Pipeline, ref reference) error {
	batch, err := table.ProfileFile(ctx, path)
	if err != nil {
		return err
	}
	s.rows += batch.Rows
	for _, name := range p.Spec.Model.Features {
		was, is := ref.features.Column(name), batch.Column(name)
		// A batch from before the feature, or its type, was changed says nothing of it.
		if was != nil && is != nil && was.Type == is.Type {
			s.parts[name] = append(s.parts[name], &table.Profile{Rows: batch.Rows, Columns: []table.ColumnProfile{*is}})
		}
	}
	return nil
}

// feature gives the profile of a feature over all batches, nil if none has it.
func (s *served) feature(name string) (*table.ColumnProfile, error) {
	if len(s.parts[name]) == 0 {
		return nil, nil
	}
	all, err := table.Merge(s.parts[name]...)
	if err != nil {
		return nil, err
	}
	return all.Column(name), nil
}

// answerLog collects what one version answered, to make a profile of.
type answerLog struct {
	path    string
	version int64
	writer  *table.Writer
	schema  table.Schema
}

// add appends the version's rows of a batch of the prediction log.
func (l *answerLog) add(ctx context.Context, path string) (err error) {
	r, err := table.Open(path, []string{versionColumn, predictionColumn, scoreColumn})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if l.writer == nil {
		l.schema = r.Schema()[1:]
		if l.writer, err = table.Create(l.path, l.schema); err != nil {
			return err
		}
	}
	for {
		b, err := r.Next(batchRows)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := rowsOf(b, l.version)
		kept := table.Batch{Schema: l.schema, Rows: len(rows)}
		for i, c := range l.schema {
			kept.Columns = append(kept.Columns, choose(&b.Columns[i+1], c.Type, rows))
		}
		if err := l.writer.Write(&kept); err != nil {
			return err
		}
	}
}

// rowsOf are the rows that the version answered. The version is the batch's
// first column.
func rowsOf(b *table.Batch, version int64) []int {
	var rows []int
	for i, v := range b.Columns[0].Ints {
		if v == version && !b.Columns[0].Null(i) {
			rows = append(rows, i)
		}
	}
	return rows
}

// choose gives some rows of a column.
func choose(v *table.Vector, typ table.Type, rows []int) table.Vector {
	out := table.Vector{}
	for _, i := range rows {
		switch typ {
		case table.String:
			out.Strings = append(out.Strings, v.Strings[i])
		case table.Int, table.Timestamp:
			out.Ints = append(out.Ints, v.Ints[i])
		case table.Float:
			out.Floats = append(out.Floats, v.Floats[i])
		case table.Bool:
			out.Bools = append(out.Bools, v.Bools[i])
		}
		if v.Nulls != nil {
			out.Nulls = append(out.Nulls, v.Nulls[i])
		}
	}
	return out
}

func (l *answerLog) profile(ctx context.Context) (*table.Profile, error) {
	if l.writer == nil {
		return nil, nil
	}
	if err := l.writer.Close(); err != nil {
		return nil, err
	}
	return table.ProfileFile(ctx, l.path)
}

func (l *answerLog) abort() {
	if l.writer != nil {
		l.writer.Abort()
	}
}
