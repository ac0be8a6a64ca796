package driftcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/metric"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// confidence of the bounds of quality.
const confidence = 0.95

// labelled measures the champion on the rows that labels have come for.
func (f *F) labelled(ctx context.Context, e events.Event[events.LabelsIngested], p *state.Pipeline) ([]events.Data, error) {
	champion := p.ChampionModel()
	switch {
	case p.Config == nil || champion == nil:
		return function.Nothing("nothing to measure: %s has no champion", p.Name)
	case e.Data.Joined.IsZero():
		return function.Nothing("no prediction was found for any of the %s", humanize.Count(e.Data.Rows, "label"))
	}
	path, err := f.deps.Artifacts.Path(ctx, e.Data.Joined)
	if err != nil {
		return nil, err
	}
	classes := p.Config.Classes()
	if len(classes) == 0 && p.Config.Spec.Model.Task == config.TaskBinary {
		if classes, err = f.classes(ctx, p, champion); err != nil {
			return nil, err
		}
	}
	a, err := readAnswers(ctx, path, p.Config, classes, int64(champion.Version))
	if err != nil {
		return nil, fmt.Errorf("measure the champion of %s on labels: %w", p.Name, err)
	}
	if a.Rows() == 0 {
		return function.Nothing("champion v%d answered none of the %s with a label", champion.Version, humanize.Count(e.Data.Matched, "row"))
	}
	c := events.DriftCheck{Version: champion.Version, QualityRows: int64(a.Rows())}
	for _, name := range p.Config.Spec.Evaluate.Metrics {
		m, err := a.Measure(name)
		if err != nil {
			continue // it has no value on these rows
		}
		of := events.Metric{Name: name, Value: m.Value}
		if low, high := m.Interval(confidence); !math.IsNaN(low) {
			of.Low, of.High = &low, &high
		}
		c.Quality = append(c.Quality, of)
	}
	c.Reason = qualityReason(c, champion)
	return []events.Data{events.DriftChecked{DriftCheck: c}}, nil
}

// classes returns the label's values in the training data, in order. They are the classes when the pipeline lists none.
func (f *F) classes(ctx context.Context, p *state.Pipeline, champion *state.Model) ([]string, error) {
	at := p.Dataset.Profile
	if run := p.Run(champion.Run); run != nil {
		at = run.Profile
	}
	profile, err := f.profile(ctx, at)
	if err != nil || profile == nil {
		return nil, err
	}
	var classes []string
	if label := profile.Column(p.Config.Spec.Model.Label); label != nil {
		for v := range label.Values() {
			classes = append(classes, fmt.Sprint(v))
		}
	}
	return classes, nil
}

// readAnswers reads the version's answers and the labels.
func readAnswers(ctx context.Context, path string, p *config.Pipeline, classes []string, version int64) (_ metric.Answers, err error) {
	r, err := table.Open(path, []string{versionColumn, predictionColumn, scoreColumn, p.Spec.Model.Label})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if score := r.Schema()[2]; score.Type != table.Float {
		return nil, fmt.Errorf("column %s is %s, not float", score.Name, score.Type)
	}
	a := answers{task: p.Spec.Model.Task, classes: classes, numbers: map[string]int32{}}
	for {
		b, err := r.Next(batchRows)
		if errors.Is(err, io.EOF) {
			return a.measurable(), nil
		}
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, row := range rowsOf(b, version) {
			a.add(b, row)
		}
	}
}

// answers collects rows of the prediction log with their labels.
type answers struct {
	task       string
	classes    []string
	binary     metric.Binary
	multiclass metric.Multiclass
	regression metric.Regression
	numbers    map[string]int32 // of the classes that were met
}

func (a *answers) add(b *table.Batch, row int) {
	prediction, score, label := &b.Columns[1], &b.Columns[2], &b.Columns[3]
	if label.Null(row) || score.Null(row) {
		return
	}
	typ := b.Schema[3].Type
	switch a.task {
	case config.TaskBinary:
		class := slices.Index(a.classes, text(typ, label, row))
		if class < 0 || len(a.classes) != 2 {
			return
		}
		a.binary.Positive = append(a.binary.Positive, class == 1)
		a.binary.Score = append(a.binary.Score, score.Floats[row])
	case config.TaskMulticlass:
		a.multiclass.Label = append(a.multiclass.Label, a.number(text(typ, label, row)))
		a.multiclass.Predicted = append(a.multiclass.Predicted, a.number(text(b.Schema[1].Type, prediction, row)))
	default:
		y := math.NaN()
		switch typ {
		case table.Float:
			y = label.Floats[row]
		case table.Int:
			y = float64(label.Ints[row])
		}
		if math.IsNaN(y) || math.IsInf(y, 0) {
			return
		}
		a.regression.Label = append(a.regression.Label, y)
		a.regression.Predicted = append(a.regression.Predicted, score.Floats[row])
	}
}

func (a *answers) number(class string) int32 {
	n, ok := a.numbers[class]
	if !ok {
		n = int32(len(a.numbers))
		a.numbers[class] = n
	}
	return n
}

func (a *answers) measurable() metric.Answers {
	switch a.task {
	case config.TaskBinary:
		return a.binary
	case config.TaskMulticlass:
		return a.multiclass
	}
	return a.regression
}

// text reads a value as classes are written.
func text(typ table.Type, v *table.Vector, row int) string {
	switch typ {
	case table.String:
		return v.Strings[row]
	case table.Int, table.Timestamp:
		return strconv.FormatInt(v.Ints[row], 10)
	case table.Float:
		return strconv.FormatFloat(v.Floats[row], 'g', -1, 64)
	}
	return strconv.FormatBool(v.Bools[row])
}

// qualityReason compares the first metric with that of the evaluation.
func qualityReason(c events.DriftCheck, champion *state.Model) string {
	rows := humanize.Count(c.QualityRows, "row") + " with a label"
	if len(c.Quality) == 0 {
		return fmt.Sprintf("champion v%d answered %s, on which no metric has a value", champion.Version, rows)
	}
	m := c.Quality[0]
	reason := fmt.Sprintf("champion v%d has %s %s on %s", champion.Version, m.Name, humanize.Metric(m.Value), rows)
	if champion.Evaluation == nil {
		return reason
	}
	was, ok := champion.Evaluation.Score.Metric(m.Name)
	if !ok {
		return reason
	}
	reason += fmt.Sprintf(", where its evaluation found %s", humanize.Metric(was.Value))
	if was.Low == nil || was.High == nil {
		return reason
	}
	worse, better := *m.High < *was.Low, *m.Low > *was.High
	if config.LowerIsBetter(m.Name) {
		worse, better = better, worse
	}
	switch {
	case worse:
		reason += "; that is worse, beyond chance"
	case better:
		reason += "; that is better, beyond chance"
	}
	return reason
}
