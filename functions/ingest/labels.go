package ingest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/ingest/contract"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// labelsAgain is how soon labels are looked at again that wait for predictions.
const labelsAgain = 2 * time.Second

// joinedFile is the labels with their predictions, in a handling's folder.
const joinedFile = "joined.parquet"

// labels joins the labels of an upload with what was predicted for them.
func (f *F) labels(ctx context.Context, e events.Event[events.ObjectUploaded], p *state.Pipeline, up upload, dir string) ([]events.Data, error) {
	l, err := f.readLabels(ctx, p.Config, up, dir)
	if err != nil {
		return nil, err
	}
	d := events.LabelsIngested{
		Object: p.Objects[e.Data.Name()].Object, Data: l.ref, Rows: l.rows, Content: up.digest, Config: p.Configured.Digest,
		Key: l.key, Unmatched: l.rows, Note: l.note,
	}
	found, err := f.predictions(ctx, e.Header, p, l)
	if err != nil {
		return nil, err
	}
	if found.unmatched > 0 && time.Since(e.Time) < f.cfg.LabelsWait {
		return nil, function.Later(labelsAgain, fmt.Errorf("%d labels of %s wait for predictions that may not be in the log yet", found.unmatched, e.Data.Key))
	}
	d.Note = joinNotes(d.Note, found.note)
	if len(found.batches) == 0 {
		return []events.Data{d}, nil
	}
	joined, err := f.join(ctx, l, found.batches, filepath.Join(dir, joinedFile))
	if err != nil {
		return nil, err
	}
	d.Joined, d.Matched, d.Unmatched = joined.ref, joined.rows, l.rows-joined.rows
	part, note, err := f.labelledPartition(ctx, p.Config, l, found.batches, joined.rows, dir)
	if err != nil {
		return nil, err
	}
	d.Note = joinNotes(d.Note, note)
	data := []events.Data{d}
	if part.rows > 0 {
		data = append(data, events.PartitionIngested{
			Object: d.Object, Data: part.ref, Rows: part.rows, Fields: part.fields(), Content: up.digest, Config: p.Configured.Digest, Labels: true,
		})
	}
	return data, nil
}

// allMatched tells whether every label of the object found its prediction when
// it was last read; true for an object without labels.
func allMatched(p *state.Pipeline, o events.Object) bool {
	for _, l := range slices.Backward(p.Labels) {
		if l.Object.Name() == o.Name() {
			return l.Unmatched == 0
		}
	}
	return true
}

func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(n string) bool { return n == "" }), "; ")
}

// labelTable is a file of labels as a canonical table: one row a key, neither
// key nor label null.
type labelTable struct {
	stored
	path  string
	key   []string
	label string
	note  string // what was left out
	byKey *keySet
}

// readLabels reads a file of labels. The key's columns and the label must be
// there; columns that the contract knows have its types, others what they look
// like.
func (f *F) readLabels(ctx context.Context, p *config.Pipeline, up upload, dir string) (*labelTable, error) {
	l := &labelTable{key: p.Spec.Data.Labels.Key, label: p.Spec.Model.Label}
	raw := filepath.Join(dir, "labels.parquet")
	in := contract.Reading(p)
	in.Columns, in.Partial = labelColumns(p), true
	c, err := duck.ConvertApart(ctx, up.Source, in, raw, f.cfg.limits())
	if err != nil {
		return nil, err
	}
	needed := append(slices.Clone(l.key), l.label)
	missing := slices.DeleteFunc(needed, func(name string) bool { return c.Schema.Index(name) >= 0 })
	if len(missing) > 0 {
		return nil, table.MissingColumns(up.Name, missing, c.Schema.Names())
	}
	var left int64
	l.byKey, left, err = readKeys(ctx, raw, l.key, l.label)
	if err != nil {
		return nil, err
	}
	once := int64(l.byKey.len())
	if once == 0 {
		return nil, &table.Unreadable{
			Name: up.Name, Reason: fmt.Sprintf("no row has both a key (%s) and a label (%s)", strings.Join(l.key, ", "), l.label),
			Try: "fill these columns in",
		}
	}
	if repeated := c.Rows - left - once; repeated > 0 {
		l.note = fmt.Sprintf("%d rows have the key of a later row, which counts", repeated)
	}
	if left > 0 {
		l.note = joinNotes(l.note, fmt.Sprintf("%d rows without a key or a label are left out", left))
	}
	l.path = raw
	if once < c.Rows {
		l.path = filepath.Join(dir, "labels-once.parquet")
		src := duck.Source{Path: raw, Name: "labels.parquet"}
		if c, err = duck.ConvertApart(ctx, src, &duck.PrepareInput{SQL: onceSQL(l)}, l.path, f.cfg.limits()); err != nil {
			return nil, err
		}
	}
	ref, err := f.deps.Artifacts.PutFile(ctx, l.path, ".parquet", false)
	if err != nil {
		return nil, err
	}
	l.stored = stored{ref: ref, rows: c.Rows, schema: c.Schema}
	return l, nil
}

// labelColumns is the columns that a file of labels may have and whose types are
// known: the key's and those of the contract. Others are text.
func labelColumns(p *config.Pipeline) []source.Column {
	columns := contract.Columns(p)
	for i, name := range p.Spec.Data.Labels.Key {
		if slices.Contains(names(columns), name) {
			continue
		}
		// A key that the contract does not know is compared as text.
		typ := table.String
		if p.Spec.Data.Labels.ByPrediction() && i == 1 {
			typ = table.Int
		}
		columns = append(columns, source.Column{Name: name, Rule: cell.Rule{Type: typ}})
	}
	return columns
}

// labelledPartition makes a partition of the joined rows that have all columns
// of the contract, and says what the others lack.
func (f *F) labelledPartition(ctx context.Context, p *config.Pipeline, l *labelTable, batches []batch, joined int64, dir string) (part stored, note string, err error) {
	want := contract.Columns(p)
	if !p.Spec.Data.Labels.ByPrediction() {
		return part, "labels by entity do not join the dataset", nil
	}
	if len(want) == 0 {
		return part, "the pipeline lists no columns, so the labelled rows do not join the dataset", nil
	}
	lacks := func(b batch) bool { return b.lacks(names(want), l.schema) != nil }
	whole := slices.DeleteFunc(slices.Clone(batches), lacks)
	file := joinedFile
	if len(whole) < len(batches) {
		// A model of other features answered, such as one from before a change
		// of the contract.
		missing := strings.Join(batches[slices.IndexFunc(batches, lacks)].lacks(names(want), l.schema), ", ")
		if len(whole) == 0 {
			return part, "the labelled rows do not join the dataset: neither the features nor the labels have " + missing, nil
		}
		file = "whole.parquet"
		rows, err := f.join(ctx, l, whole, filepath.Join(dir, file))
		if err != nil {
			return part, "", err
		}
		note = fmt.Sprintf("%d labelled rows do not join the dataset: neither their features nor the labels have %s", joined-rows.rows, missing)
	}
	in := &duck.PrepareInput{SQL: "SELECT " + columnList("", names(want)) + " FROM upload", Columns: want}
	part, err = f.convert(ctx, duck.Source{Path: filepath.Join(dir, file), Name: file}, in, filepath.Join(dir, "partition.parquet"))
	return part, note, err
}
