package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/metric"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// batchRows is how many rows are read and scored at a time.
const batchRows = 4096

// holdout is the rows that the models are evaluated on: their labels and slices,
// and the models' answers.
type holdout struct {
	task     string
	classes  map[string]int32 // number of each class that was met
	positive []bool           // binary
	label    []int32          // multiclass
	value    []float64        // regression
	slices   []sliceColumn
	// groups has the number of each row's entity, nil if the pipeline names no
	// columns that identify one.
	groups    []int32
	entities  *entities
	candidate *answers
	champion  *answers // nil without a champion
	// unlabelled rows have no label, foreign ones a label other than the two
	// classes; both were left out.
	unlabelled, foreign int64
	scores              events.Ref // profile of the candidate's answers

	kept []int32 // rows of the current batch that have a label
}

func (h *holdout) rows() int { return max(len(h.positive), len(h.label), len(h.value)) }

// score runs both models over the hold-out.
func (f *F) score(ctx context.Context, c *evaluation, candidate, champion *loadedModel) (_ *holdout, err error) {
	path, err := f.deps.Artifacts.Path(ctx, c.holdout)
	if err != nil {
		return nil, err
	}
	schema, rows, err := table.ReadSchema(path)
	if err != nil {
		return nil, err
	}
	h, columns, err := newHoldout(c, schema, int(rows), candidate, champion)
	if err != nil {
		return nil, err
	}
	reader, err := table.Open(path, columns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	log, err := f.newScoreLog(h.task)
	if err != nil {
		return nil, err
	}
	defer log.remove()

	for {
		b, err := reader.Next(batchRows)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := h.take(ctx, c, b); err != nil {
			return nil, err
		}
		if err := log.write(h.candidate); err != nil {
			return nil, err
		}
	}
	if h.candidate.odd > 0 {
		return nil, refuse("its answers to %s of the hold-out are not numbers (NaN or infinite)", humanize.Count(h.candidate.odd, "row"))
	}
	if rounded := h.candidate.rounded; rounded != nil {
		c.note("the model takes %s as FP32, which does not hold all of their whole numbers: they are rounded to the nearest; "+
			"a double or int64 input holds them", strings.Join(rounded, ", "))
	}
	if h.rows() == 0 {
		return nil, fmt.Errorf("hold-out %s has no row with a label in %s", c.holdout.Short(), c.config.Spec.Model.Label)
	}
	if h.champion != nil && h.champion.odd > 0 {
		c.dropChampion(fmt.Errorf("its answers to %s are not numbers", humanize.Count(h.champion.odd, "row")))
		h.champion = nil
	}
	h.scores, err = log.profile(ctx)
	return h, err
}

// newHoldout prepares for the models, and lists the columns to read.
func newHoldout(c *evaluation, schema table.Schema, rows int, candidate, champion *loadedModel) (*holdout, []string, error) {
	h := &holdout{task: c.config.Spec.Model.Task, classes: map[string]int32{}}
	switch h.task {
	case config.TaskBinary:
		h.positive = make([]bool, 0, rows)
	case config.TaskMulticlass:
		h.label = make([]int32, 0, rows)
	default:
		h.value = make([]float64, 0, rows)
	}
	for i, class := range candidate.contract.Classes {
		h.classes[class] = int32(i)
	}
	label := c.config.Spec.Model.Label
	if schema.Index(label) < 0 {
		return nil, nil, fmt.Errorf("hold-out %s does not have the label %s; it has %s", c.holdout.Short(), label, schema)
	}
	if err := candidate.fit(schema); err != nil {
		return nil, nil, err
	}
	h.candidate = newAnswers(candidate, h.task, rows)
	columns := []string{label}
	add := func(name string) {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	for _, feature := range candidate.contract.Features {
		add(feature.Name)
	}
	if champion != nil {
		h.champion = newAnswers(champion, h.task, rows)
		if err := h.champion.answerLike(h, candidate.contract.Classes); err != nil {
			c.dropChampion(err)
			h.champion = nil
		} else {
			for _, feature := range champion.contract.Features {
				add(feature.Name)
			}
		}
	}
	if err := h.candidate.answerLike(h, candidate.contract.Classes); err != nil {
		return nil, nil, err
	}
	if h.task == config.TaskMulticlass && slices.ContainsFunc(metricNames(c.config.Spec.Evaluate), metric.NeedsProbabilities) {
		h.candidate.width = len(h.classes)
		if h.champion != nil {
			h.champion.width = len(h.classes)
		}
	}
	if h.entities = newEntities(c.config.Spec.Data.Holdout.Group, schema); h.entities != nil {
		for _, name := range h.entities.columns {
			add(name)
		}
	}
	for _, name := range sliceColumns(c.config.Spec.Evaluate) {
		if schema.Index(name) < 0 {
			c.note("the hold-out does not have the column %s, so there are no slices by it", name)
			continue
		}
		add(name)
		h.slices = append(h.slices, sliceColumn{name: name, number: map[string]int32{}, codes: make([]int32, 0, rows)})
	}
	return h, columns, nil
}

// sliceColumns are the columns by which the hold-out is sliced.
func sliceColumns(e config.Evaluate) []string {
	columns := slices.Clone(e.Slices)
	for _, g := range e.Gates {
		if g.Slice != "" && !slices.Contains(columns, g.Slice) {
			columns = append(columns, g.Slice)
		}
	}
	return columns
}

// take scores one batch.
func (h *holdout) take(ctx context.Context, c *evaluation, b *table.Batch) error {
	h.takeLabels(b.Schema[0].Type, &b.Columns[0], b.Rows)
	if err := h.candidate.score(ctx, h, b); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return refuse("it cannot answer the hold-out: %s", plain(err, ""))
	}
	if h.champion != nil {
		if err := h.champion.score(ctx, h, b); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.dropChampion(err)
			h.champion = nil
		}
	}
	if h.entities != nil {
		h.groups = h.entities.number(h.groups, b, h.kept)
	}
	for i := range h.slices {
		s := &h.slices[i]
		at := b.Schema.Index(s.name)
		s.take(b.Schema[at].Type, &b.Columns[at], h.kept)
	}
	return nil
}

// takeLabels reads the labels of a batch and determines which rows are kept.
func (h *holdout) takeLabels(typ table.Type, v *table.Vector, rows int) {
	h.kept = h.kept[:0]
	for i := range int32(rows) {
		if v.Null(int(i)) {
			h.unlabelled++
			continue
		}
		if h.task == config.TaskRegression {
			y := number(typ, v, int(i))
			if math.IsNaN(y) || math.IsInf(y, 0) {
				h.unlabelled++
				continue
			}
			h.value = append(h.value, y)
			h.kept = append(h.kept, i)
			continue
		}
		name := text(typ, v, int(i))
		class, known := h.classes[name]
		switch {
		case h.task == config.TaskBinary && (!known || class > 1):
			h.foreign++
			continue
		case h.task == config.TaskBinary:
			h.positive = append(h.positive, class == 1)
		case !known:
			class = h.class(name)
			fallthrough
		default:
			h.label = append(h.label, class)
		}
		h.kept = append(h.kept, i)
	}
}

// class returns the number of a class; a new class gets the next number.
func (h *holdout) class(name string) int32 {
	n, ok := h.classes[name]
	if !ok {
		n = int32(len(h.classes))
		h.classes[name] = n
	}
	return n
}

// number reads a value of a numeric column.
func number(typ table.Type, v *table.Vector, row int) float64 {
	switch typ {
	case table.Float:
		return v.Floats[row]
	case table.Int, table.Timestamp:
		return float64(v.Ints[row])
	case table.Bool:
		if v.Bools[row] {
			return 1
		}
		return 0
	}
	return math.NaN()
}

// text reads a value in the notation of classes.
func text(typ table.Type, v *table.Vector, row int) string {
	switch typ {
	case table.String:
		return v.Strings[row]
	case table.Int:
		return strconv.FormatInt(v.Ints[row], 10)
	case table.Float:
		return strconv.FormatFloat(v.Floats[row], 'g', -1, 64)
	case table.Bool:
		return strconv.FormatBool(v.Bools[row])
	case table.Timestamp:
		return time.UnixMicro(v.Ints[row]).UTC().Format(time.RFC3339Nano)
	}
	return ""
}

// scoreLog has the candidate's answers in the form of the prediction log, to
// compute their profile.
type scoreLog struct {
	f      *F
	folder string
	writer *table.Writer
	batch  table.Batch
}

const scoresFile = "scores.parquet"

func (f *F) newScoreLog(task string) (*scoreLog, error) {
	folder, err := f.deps.Artifacts.TempDir("scores-*")
	if err != nil {
		return nil, err
	}
	l := &scoreLog{f: f, folder: folder}
	prediction := table.String
	if task == config.TaskRegression {
		prediction = table.Float
	}
	l.batch.Schema = table.Schema{{Name: "prediction", Type: prediction}, {Name: "score", Type: table.Float}}
	l.batch.Columns = make([]table.Vector, 2)
	if l.writer, err = table.Create(filepath.Join(folder, scoresFile), l.batch.Schema); err != nil {
		l.remove()
		return nil, err
	}
	return l, nil
}

// write appends the model's answers for the current batch.
func (l *scoreLog) write(a *answers) error {
	l.batch.Rows = len(a.shown)
	if a.contender.contract.Task == onnx.Regression {
		l.batch.Columns[0].Floats = a.shown
	} else {
		l.batch.Columns[0].Strings = a.names
	}
	l.batch.Columns[1].Floats = a.shown
	return l.writer.Write(&l.batch)
}

func (l *scoreLog) profile(ctx context.Context) (events.Ref, error) {
	if err := l.writer.Close(); err != nil {
		return events.Ref{}, err
	}
	p, err := table.ProfileFile(ctx, filepath.Join(l.folder, scoresFile))
	if err != nil {
		return events.Ref{}, err
	}
	raw, err := p.MarshalBinary()
	if err != nil {
		return events.Ref{}, err
	}
	return l.f.deps.Artifacts.PutBytes(ctx, raw, ".profile")
}

func (l *scoreLog) remove() {
	if l.writer != nil {
		l.writer.Abort()
	}
	_ = os.RemoveAll(l.folder)
}
