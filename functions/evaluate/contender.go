package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/metric"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// refusal says what is wrong with a model, for a person.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// contender is a loaded model that answers rows of the hold-out.
type contender struct {
	model    *onnx.Model
	contract onnx.Contract
	folder   string // of its files, removed at the end; "" if there is none
}

func (k *contender) close() {
	if k.model != nil {
		_ = k.model.Close()
	}
	if k.folder != "" {
		_ = os.RemoveAll(k.folder)
	}
}

// eps is the precision of what the model answers.
func (k *contender) eps() metric.Eps {
	s := k.model.Signature()
	i := slices.IndexFunc(s.Outputs, func(t onnx.Tensor) bool { return t.Name == s.ScoreOutput })
	if i >= 0 && s.Outputs[i].Datatype == "FP64" {
		return metric.Eps64
	}
	return metric.Eps32
}

// loadCandidate loads the model that is judged, after it was probed. It is nil
// when nothing is known of what goes into it and comes out.
func (f *F) loadCandidate(ctx context.Context, c *evaluation) (_ *contender, err error) {
	k := &contender{}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if k.contract, err = f.contract(ctx, c.config, c.profile); err != nil {
		return nil, err
	}
	switch {
	case len(k.contract.Features) == 0:
		c.note("the pipeline lists no features, so that the model's inputs and outputs were not looked at")
		return nil, nil
	case len(k.contract.Classes) == 0 && k.contract.Task != config.TaskRegression:
		c.note("the pipeline lists no classes and has no data yet, so that the model's inputs and outputs were not looked at")
		return nil, nil
	}
	path, err := f.place(ctx, k, c.model.Model)
	if err != nil {
		return nil, err
	}
	if err := f.probe(ctx, path, k.contract); err != nil {
		return nil, err
	}
	if err := k.open(path, f.cfg.Threads); err != nil {
		return nil, refuse("%s", plain(err, path))
	}
	if err := k.model.Check(k.contract); err != nil {
		return nil, refuse("%s", plain(err, path))
	}
	return k, nil
}

// probe tries a model in a process of its own.
func (f *F) probe(ctx context.Context, path string, contract onnx.Contract) error {
	probing, cancel := context.WithTimeout(ctx, f.cfg.ProbeTimeout)
	defer cancel()
	err := onnx.ProbeApart(probing, f.cfg.ProbeCommand, path, contract)
	if bad := (*onnx.RefusedError)(nil); errors.As(err, &bad) {
		return refuse("%s", plain(errors.New(bad.Reason), path))
	}
	if err != nil && probing.Err() != nil && ctx.Err() == nil {
		return refuse("it did not answer a few made-up rows within %s", f.cfg.ProbeTimeout)
	}
	return err
}

func (k *contender) open(path string, threads int) (err error) {
	k.model, err = onnx.Open(path, onnx.Options{Threads: threads})
	return err
}

// fit makes the model read the columns as the hold-out has them.
func (k *contender) fit(schema table.Schema) error {
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

// contract is what the pipeline promises about its models. Classes that it does
// not name are the label's values in the profile, in order.
func (f *F) contract(ctx context.Context, p *config.Pipeline, profile events.Ref) (onnx.Contract, error) {
	c := onnx.Contract{Task: p.Spec.Model.Task}
	for _, column := range p.Features() {
		if column.Type == "" {
			return c, nil
		}
		feature := onnx.Feature{Name: column.Name, Type: onnx.Type(column.Type)}
		for _, v := range column.Values {
			feature.Values = append(feature.Values, v.String())
		}
		c.Features = append(c.Features, feature)
	}
	if c.Task == config.TaskRegression || len(c.Features) == 0 {
		return c, nil
	}
	if c.Classes = p.Classes(); len(c.Classes) > 0 || profile.IsZero() {
		return c, nil
	}
	var err error
	c.Classes, err = f.valuesOf(ctx, profile, p.Spec.Model.Label)
	return c, err
}

// maxProfileBytes bounds a profile that is read into memory.
const maxProfileBytes = 1 << 30

// valuesOf gives the values of a column of a profile in ascending order.
func (f *F) valuesOf(ctx context.Context, profile events.Ref, column string) ([]string, error) {
	raw, err := f.Artifacts.Bytes(ctx, profile, maxProfileBytes)
	if err != nil {
		return nil, err
	}
	var p table.Profile
	if err := p.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("read profile %s: %w", profile.Short(), err)
	}
	label := p.Column(column)
	if label == nil {
		return nil, fmt.Errorf("profile %s does not have the label %s", profile.Short(), column)
	}
	var values []string
	for v := range label.Values() {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case int64:
			values = append(values, strconv.FormatInt(v, 10))
		case float64:
			values = append(values, strconv.FormatFloat(v, 'g', -1, 64))
		case bool:
			values = append(values, strconv.FormatBool(v))
		}
	}
	return values, nil
}

// modelFile is the name of the file that is the model; those beside it are its
// external data.
const modelFile = "model.onnx"

// place makes the model's files lie in one folder and gives the model's path.
func (f *F) place(ctx context.Context, k *contender, m events.Model) (string, error) {
	main := slices.IndexFunc(m.Files, func(file events.File) bool { return file.Name == modelFile })
	if main < 0 {
		main = slices.IndexFunc(m.Files, func(file events.File) bool { return strings.HasSuffix(file.Name, ".onnx") })
	}
	if main < 0 && len(m.Files) == 1 {
		main = 0
	}
	if main < 0 {
		return "", refuse("none of its %d files is called %s", len(m.Files), modelFile)
	}
	if len(m.Files) == 1 {
		return f.Artifacts.Path(ctx, m.Files[0].Ref)
	}
	folder, err := f.Artifacts.TempDir("model-*")
	if err != nil {
		return "", err
	}
	k.folder = folder
	for _, file := range m.Files {
		if !filepath.IsLocal(file.Name) {
			return "", refuse("the file name %q leads out of the model's folder", file.Name)
		}
		from, err := f.Artifacts.Path(ctx, file.Ref)
		if err != nil {
			return "", err
		}
		if err := link(from, filepath.Join(folder, file.Name)); err != nil {
			return "", fmt.Errorf("place %s of a model: %w", file.Name, err)
		}
	}
	return filepath.Join(folder, m.Files[main].Name), nil
}

// link makes the file at to the same as that at from, by copying it where the
// file system cannot do better.
func link(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// plain is an error about the model at path without the path, which means
// nothing to the person who made the model.
func plain(err error, path string) string {
	text := err.Error()
	if path != "" {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "open model "+path+": ", ""), path, modelFile)
	}
	return strings.ReplaceAll(text, "\n", "; ")
}
