package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

const (
	// tolerance is how much an answer of the exported model may differ from the
	// trainer's, relative to the answer where that is greater than 1.
	tolerance = 1e-4
	// maxManifest bounds the list of a train part's files, in bytes.
	maxManifest = 64 << 20
)

// prove compares the model's answers with those that the trainer left in
// predictions.parquet for rows of its train part. A difference is a refusal: the
// exported model does not get, or does not do, what the trainer's model did.
func (f *F) prove(ctx context.Context, c *evaluation, k *loadedModel) error {
	predictions, err := f.predictionsOf(ctx, c)
	if err != nil || predictions.IsZero() {
		return err
	}
	files, err := f.trainFiles(ctx, c)
	if errors.Is(err, artifact.ErrNotFound) {
		c.note("%s was not compared: the train part is not in the artifact store any more", predictionsFile)
		return nil
	}
	if err != nil {
		return err
	}
	path, err := f.deps.Artifacts.Path(ctx, predictions)
	if err != nil {
		return err
	}
	l, err := readPredictions(path, k.contract.Classes)
	if err != nil {
		return err
	}
	p := proof{model: k, left: l, missing: make([]int, len(k.contract.Features)), missingOff: make([]int, len(k.contract.Features))}
	if err := p.compareFiles(ctx, files); err != nil {
		return err
	}
	if p.off > 0 {
		return p.refusal()
	}
	c.note("the model answers %s of the train part as the trainer did, to within %.1g", humanize.Count(len(l.rows), "row"), p.greatest)
	return nil
}

// predictionsOf returns the answers that the version's trainer left, zero if
// it left no answers.
func (f *F) predictionsOf(ctx context.Context, c *evaluation) (events.Ref, error) {
	if c.model.Run == "" || c.train.IsZero() {
		return events.Ref{}, nil
	}
	filter := eventlog.Filter{Pipeline: c.config.Name(), Types: []string{events.TrainingCompleted{}.EventType()}}
	for e, err := range f.deps.Log.Read(ctx, filter) {
		if err != nil {
			return events.Ref{}, err
		}
		if e.ID != c.model.Event {
			continue
		}
		d, err := events.Decode[events.TrainingCompleted](e)
		if err != nil {
			return events.Ref{}, nil // it was read before, when the version was made
		}
		for _, file := range d.Data.Files {
			if file.Name == predictionsFile {
				return file.Ref, nil
			}
		}
		return events.Ref{}, nil
	}
	return events.Ref{}, nil
}

// trainFiles returns the paths of the version's train part.
func (f *F) trainFiles(ctx context.Context, c *evaluation) (paths []string, err error) {
	raw, err := f.deps.Artifacts.Bytes(ctx, c.train, maxManifest)
	if err != nil {
		return nil, err
	}
	var files []events.File
	if err := json.Unmarshal(raw, &files); err != nil {
		return nil, fmt.Errorf("read the manifest of the train part: %w", err)
	}
	for _, file := range files {
		path, err := f.deps.Artifacts.Path(ctx, file.Ref)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// proof compares answers, in the order of the rows.
type proof struct {
	model *loadedModel
	left  *left
	next  int // of left.rows

	off      int // rows that differ
	greatest float64
	examples []string
	// missing counts, for each feature, the compared rows without a value, and
	// missingOff those of them that differ.
	missing, missingOff []int

	batch onnx.Batch
	out   onnx.Scores
}

// maxExamples is how many rows that differ are shown.
const maxExamples = 3

func (p *proof) compareFiles(ctx context.Context, paths []string) error {
	first := int64(0)
	for _, path := range paths {
		schema, rows, err := table.ReadSchema(path)
		if err != nil {
			return err
		}
		if err := p.model.fit(schema); err != nil {
			return err
		}
		if p.next < len(p.left.rows) && p.left.rows[p.next].row < first+rows {
			if err := p.compareFile(ctx, path, first); err != nil {
				return err
			}
		}
		first += rows
	}
	if p.next < len(p.left.rows) {
		return refuse("%s has the row %d, and the train part has %s: count the rows from 0, over all files in the order of their names",
			predictionsFile, p.left.rows[p.next].row, humanize.Count(first, "row"))
	}
	return nil
}

// compareFile compares the answers to rows of a file whose first row has the
// given number.
func (p *proof) compareFile(ctx context.Context, path string, first int64) error {
	var columns []string
	for _, feature := range p.model.contract.Features {
		columns = append(columns, feature.Name)
	}
	r, err := table.Open(path, columns)
	if err != nil {
		return err
	}
	defer r.Close() // it was only read
	for p.next < len(p.left.rows) {
		b, err := r.Next(batchRows)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.compareBatch(ctx, b, first); err != nil {
			return err
		}
		first += int64(b.Rows)
	}
	return nil
}

func (p *proof) compareBatch(ctx context.Context, b *table.Batch, first int64) error {
	from := p.next
	var rows []int
	for ; p.next < len(p.left.rows) && p.left.rows[p.next].row < first+int64(b.Rows); p.next++ {
		rows = append(rows, int(p.left.rows[p.next].row-first))
	}
	if rows == nil {
		return nil
	}
	features := p.model.contract.Features
	pick(asBatch(b, features, &p.batch), rows)
	if err := p.model.model.Score(ctx, &p.batch, &p.out); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return refuse("it cannot answer the rows of %s: %s", predictionsFile, plain(err, ""))
	}
	for i := range rows {
		p.compare(p.left.rows[from+i], p.out.Row(i), i)
	}
	return nil
}

// pick keeps some of a batch's rows.
func pick(b *onnx.Batch, rows []int) {
	for i := range b.Columns {
		c := &b.Columns[i]
		c.Strings, c.Ints, c.Floats = picked(c.Strings, rows), picked(c.Ints, rows), picked(c.Floats, rows)
		c.Bools, c.Nulls = picked(c.Bools, rows), picked(c.Nulls, rows)
	}
	b.Rows = len(rows)
}

func picked[T any](values []T, rows []int) (some []T) {
	if len(values) == 0 {
		return nil
	}
	for _, row := range rows {
		some = append(some, values[row])
	}
	return some
}

// compare compares the answers to one row, the i-th of the batch.
func (p *proof) compare(left leftRow, answers []float64, i int) {
	off := false
	for k, trained := range left.answers {
		exported := answers[p.left.classes[k]]
		difference := math.Abs(exported-trained) / max(1, math.Abs(trained))
		switch {
		case math.IsNaN(trained) && math.IsNaN(exported) || trained == exported:
			continue
		case math.IsNaN(difference):
			difference = math.Inf(1)
		}
		p.greatest = max(p.greatest, difference)
		if difference > tolerance {
			if !off && p.off < maxExamples {
				p.examples = append(p.examples, fmt.Sprintf("row %d (%s is %s by the trainer and %s by the model)", left.row, p.left.names[k], short(trained), short(exported)))
			}
			off = true
		}
	}
	if off {
		p.off++
	}
	for k, feature := range p.model.contract.Features {
		if isMissing(&p.batch.Columns[k], feature, i) {
			p.missing[k]++
			if off {
				p.missingOff[k]++
			}
		}
	}
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// isMissing reports whether a value of the train part stands for a missing one.
func isMissing(c *onnx.Column, feature onnx.Feature, row int) bool {
	if c.Nulls != nil && c.Nulls[row] {
		return true
	}
	return feature.Type == onnx.String && !feature.Required && c.Strings[row] == feature.Missing
}

// refusal says which rows differ, and what they have in common.
func (p *proof) refusal() error {
	text := fmt.Sprintf("its answers to rows of the train part are not those that the trainer left in %s: %s of %s differ by more than %g, the greatest difference is %.3g: %s",
		predictionsFile, humanize.Int(p.off), humanize.Count(len(p.left.rows), "row"), tolerance, p.greatest, strings.Join(p.examples, ", "))
	if more := p.off - len(p.examples); more > 0 {
		text += fmt.Sprintf(" and %s more", humanize.Int(more))
	}
	var common []string
	for k, feature := range p.model.contract.Features {
		if p.missingOff[k] == p.off && p.missing[k] < len(p.left.rows) {
			common = append(common, feature.Name)
		}
	}
	slices.Sort(common)
	if common != nil {
		return refuse("%s; in all of these rows %s is missing: the trainer has to encode a missing value as the model gets it", text, strings.Join(common, ", "))
	}
	return refuse("%s; what the trainer does to its rows has to be in the exported model", text)
}
