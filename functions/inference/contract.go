package inference

import (
	"context"
	"fmt"
	"strconv"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// pastConfig is a configuration that ruled once.
type pastConfig struct {
	digest   string
	pipeline *config.Pipeline
}

// configured reads the pipeline's configurations from the log, oldest first.
func (f *F) configured(ctx context.Context, pipeline string) ([]pastConfig, error) {
	var all []pastConfig
	filter := eventlog.Filter{Pipeline: pipeline, Types: []string{events.PipelineConfigured{}.EventType()}}
	for e, err := range f.deps.Log.Read(ctx, filter) {
		if err != nil {
			return nil, fmt.Errorf("read the earlier configurations: %w", err)
		}
		d, err := events.Decode[events.PipelineConfigured](e)
		if err != nil {
			continue // nothing can be made of it, now or later
		}
		if c, err := config.FromJSON(d.Data.Spec); err == nil {
			all = append(all, pastConfig{d.Data.Digest, c})
		}
	}
	return all, nil
}

// contract is what a configuration promises about the pipeline's models. What
// it does not say is taken from where it can be known: classes from the
// profile of the rows the model was trained on, features from the model.
func (f *F) contract(ctx context.Context, c *config.Pipeline, p *state.Pipeline, m *state.Model, s onnx.Signature) (onnx.Contract, error) {
	out := onnx.Contract{Task: c.Spec.Model.Task}
	for _, column := range c.Features() {
		if column.Type == "" {
			out.Features = nil
			break
		}
		feature := onnx.Feature{Name: column.Name, Type: onnx.Type(column.Type)}
		for _, v := range column.Values {
			feature.Values = append(feature.Values, v.String())
		}
		out.Features = append(out.Features, feature)
	}
	if len(out.Features) == 0 {
		out.Features = ownFeatures(s)
	}
	if out.Task == onnx.Regression {
		return out, nil
	}
	if out.Classes = c.Classes(); len(out.Classes) > 0 {
		return out, nil
	}
	profile := p.Dataset.Profile
	if run := p.Run(m.Run); run != nil {
		profile = run.Profile
	}
	if profile.IsZero() {
		out.Classes = numberedClasses(out.Task, s)
		return out, nil
	}
	var err error
	out.Classes, err = f.valuesOf(ctx, profile, c.Spec.Model.Label)
	return out, err
}

// ownFeatures are the features of a model whose pipeline lists none: its
// inputs, or the columns of its one matrix.
func ownFeatures(s onnx.Signature) []onnx.Feature {
	var features []onnx.Feature
	for _, in := range s.Inputs {
		width := int64(1)
		if len(in.Shape) == 2 && len(s.Inputs) == 1 {
			width = in.Shape[1]
		}
		t := onnx.Float
		switch in.Datatype {
		case "BYTES":
			t = onnx.String
		case "INT64":
			t = onnx.Int
		case "BOOL":
			t = onnx.Bool
		}
		if width <= 1 {
			features = append(features, onnx.Feature{Name: in.Name, Type: t})
			continue
		}
		for i := range width {
			features = append(features, onnx.Feature{Name: in.Name + "_" + strconv.FormatInt(i, 10), Type: t})
		}
	}
	return features
}

// numberedClasses names the classes by their place when nothing names them.
func numberedClasses(task string, s onnx.Signature) []string {
	width := int64(2)
	if task != onnx.BinaryClassification {
		for _, o := range s.Outputs {
			if len(o.Shape) == 2 && o.Shape[1] > width {
				width = o.Shape[1]
			}
		}
	}
	var classes []string
	for i := range width {
		classes = append(classes, strconv.FormatInt(i, 10))
	}
	return classes
}

// maxProfileBytes bounds a profile that is read into memory.
const maxProfileBytes = 1 << 30

// valuesOf gives the values of a column of a profile in ascending order.
func (f *F) valuesOf(ctx context.Context, ref events.Ref, column string) ([]string, error) {
	raw, err := f.deps.Artifacts.Bytes(ctx, ref, maxProfileBytes)
	if err != nil {
		return nil, err
	}
	var p table.Profile
	if err := p.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("profile %s: %w", ref.Short(), err)
	}
	label := p.Column(column)
	if label == nil {
		return nil, fmt.Errorf("profile %s does not have the label %s", ref.Short(), column)
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
