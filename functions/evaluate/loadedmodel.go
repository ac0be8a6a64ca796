package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/metric"
	"millrace.dev/shared/model"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/onnxfile"
	"millrace.dev/shared/table"
)

// refusal is a fault of a model, in words for its author.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// scorer is a model that answers rows: a *onnx.Model, or a *onnx.Scorer for one that was never served.
type scorer interface {
	Signature() onnx.Signature
	Check(c onnx.Contract) error
	Score(ctx context.Context, b *onnx.Batch, out *onnx.Scores) error
	Close() error
}

// loadedModel is a model that answers rows of the hold-out: the model under test, or the champion.
type loadedModel struct {
	model    scorer
	contract onnx.Contract
	patience time.Duration // with one batch
	placed   model.Placed  // its files, removed at the end
}

func (k *loadedModel) close() {
	if k.model != nil {
		_ = k.model.Close()
	}
	_ = k.placed.Remove() // the artifact store's folder is emptied at the next start
}

// eps returns the precision of the model's answers.
func (k *loadedModel) eps() metric.Eps {
	s := k.model.Signature()
	i := slices.IndexFunc(s.Outputs, func(t onnx.Tensor) bool { return t.Name == s.ScoreOutput })
	if i >= 0 && s.Outputs[i].Datatype == "FP64" {
		return metric.Eps64
	}
	return metric.Eps32
}

// loadCandidate probes and loads the model under test. It returns nil when the pipeline does not say what its inputs and
// outputs are.
func (f *F) loadCandidate(ctx context.Context, c *evaluation) (_ *loadedModel, err error) {
	k := &loadedModel{patience: f.cfg.ProbeTimeout}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	path, err := f.place(ctx, k, c.model.Model)
	if err != nil {
		return nil, err
	}
	if k.contract, err = f.contract(ctx, c.config, c.profile, classesOf(path)); err != nil {
		return nil, err
	}
	switch {
	case len(k.contract.Features) == 0:
		c.note("the pipeline lists no features, so the model's inputs and outputs were not checked")
		k.close()
		return nil, nil
	case len(k.contract.Classes) == 0 && k.contract.Task != config.TaskRegression:
		c.note("the pipeline lists no classes, has no data yet, and the model does not say its classes, so the model's inputs and outputs were not checked")
		k.close()
		return nil, nil
	}
	if err := f.probe(ctx, c, path, k.contract); err != nil {
		return nil, err
	}
	apart, err := onnx.OpenApart(ctx, path, onnx.Options{Threads: f.cfg.Threads})
	if bad, ok := errors.AsType[*onnx.RefusedError](err); ok {
		return nil, refuse("%s", plain(bad, path))
	}
	if err != nil {
		return nil, err
	}
	k.model = apart
	if err := k.model.Check(k.contract); err != nil {
		return nil, refuse("%s", plain(err, path))
	}
	return k, nil
}

// probe tries a model in a subprocess: on rows of the hold-out or the dataset, else on made-up ones.
func (f *F) probe(ctx context.Context, c *evaluation, path string, contract onnx.Contract) error {
	rows, err := f.realRows(ctx, c, contract)
	if err != nil {
		return err
	}
	probing, cancel := context.WithTimeout(ctx, f.cfg.ProbeTimeout)
	defer cancel()
	warnings, err := onnx.ProbeApart(probing, f.cfg.ProbeCommand, path, contract, rows)
	if bad, ok := errors.AsType[*onnx.RefusedError](err); ok {
		return refuse("%s", plain(errors.New(bad.Reason), path))
	}
	if err != nil && probing.Err() != nil && ctx.Err() == nil {
		return refuse("it did not answer a few rows within %s", f.cfg.ProbeTimeout)
	}
	for _, warning := range warnings {
		c.note("%s", plain(errors.New(warning), path))
	}
	return err
}

// probedRows is how many rows of a hold-out a model is tried on before it is loaded.
const probedRows = 64

// realRows are the first rows of the hold-out, else of the dataset. They are nil if those rows do not or no longer exist, or if their
// columns are not those of the contract: whether a hold-out's can be adapted is found out when it is scored.
func (f *F) realRows(ctx context.Context, c *evaluation, contract onnx.Contract) (*onnx.Batch, error) {
	if c.tried.IsZero() {
		return nil, nil
	}
	path, err := f.deps.Artifacts.Path(ctx, c.tried)
	if errors.Is(err, artifact.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	schema, _, err := table.ReadSchema(path)
	if err != nil {
		return nil, err
	}
	var columns []string
	for _, feature := range contract.Features {
		if i := schema.Index(feature.Name); i < 0 || onnx.Type(schema[i].Type) != feature.Type {
			return nil, nil
		}
		columns = append(columns, feature.Name)
	}
	reader, err := table.Open(path, columns)
	if err != nil {
		return nil, err
	}
	b, err := reader.Next(probedRows)
	if errors.Is(err, io.EOF) {
		return nil, reader.Close()
	}
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return asBatch(b, contract.Features, &onnx.Batch{}), reader.Close()
}

// asBatch puts the columns of the features into out, sharing their values.
func asBatch(b *table.Batch, features []onnx.Feature, out *onnx.Batch) *onnx.Batch {
	out.Rows, out.Columns = b.Rows, out.Columns[:0]
	for _, feature := range features {
		v := b.Column(feature.Name)
		out.Columns = append(out.Columns, onnx.Column{
			Name: feature.Name, Strings: v.Strings, Ints: v.Ints, Floats: v.Floats, Bools: v.Bools, Nulls: v.Nulls,
		})
	}
	return out
}

// classesOf returns the classes that a model's file says it answers by. A file that cannot be read is refused by the
// probe, which says why.
func classesOf(path string) []string {
	file, err := onnxfile.ReadFile(path)
	if err != nil {
		return nil
	}
	return file.Classes()
}

func (k *loadedModel) open(path string, threads int) error {
	m, err := onnx.Open(path, onnx.Options{Threads: threads})
	if err == nil {
		k.model = m
	}
	return err
}

// fit adapts the model's contract to the column types of the hold-out.
func (k *loadedModel) fit(schema table.Schema) error {
	features, changed := slices.Clone(k.contract.Features), false
	var missing []string
	for i, f := range features {
		at := schema.Index(f.Name)
		if at < 0 {
			missing = append(missing, f.Name)
			continue
		}
		if have := onnx.Type(schema[at].Type); have != f.Type {
			features[i].Type, changed = have, true
		}
	}
	if missing != nil {
		return refuse("the hold-out does not have its features %s", strings.Join(missing, ", "))
	}
	if !changed {
		return nil
	}
	k.contract.Features = features
	if err := k.model.Check(k.contract); err != nil {
		return refuse("the hold-out has columns of other types: %s", plain(err, ""))
	}
	return nil
}

// contract returns the inputs and outputs that the pipeline's models must have.
func (f *F) contract(ctx context.Context, p *config.Pipeline, profile events.Ref, own []string) (onnx.Contract, error) {
	return model.Contract(ctx, f.deps.Artifacts, p, profile, own)
}

// place brings the model's files to the local disk until k is closed, and
// returns the model's path.
func (f *F) place(ctx context.Context, k *loadedModel, m events.Model) (_ string, err error) {
	k.placed, err = model.Place(ctx, f.deps.Artifacts, m)
	if bad, ok := errors.AsType[*model.UnusableError](err); ok {
		return "", refuse("%s", bad.Reason)
	}
	return k.placed.Path, err
}

// plain returns an error's text without the local path of the model, which means nothing to its author.
func plain(err error, path string) string {
	text := err.Error()
	if bad, ok := errors.AsType[*onnx.RefusedError](err); ok {
		text = bad.Reason
	}
	if path != "" {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "open model "+path+": ", ""), path, model.File)
	}
	return strings.ReplaceAll(text, "\n", "; ")
}
