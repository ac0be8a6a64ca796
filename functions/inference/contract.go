package inference

import (
	"context"
	"fmt"
	"strconv"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/model"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
)

// pastConfig is an earlier configuration.
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
			continue // it cannot be read, now or later
		}
		if c, err := config.FromJSON(d.Data.Spec); err == nil {
			all = append(all, pastConfig{d.Data.Digest, c})
		}
	}
	return all, nil
}

// contract returns what a configuration promises about the pipeline's models.
// The rest comes from other sources: classes from the model or the profile of
// its training data, features from the model.
func (f *F) contract(ctx context.Context, c *config.Pipeline, p *state.Pipeline, m *state.Model, s onnx.Signature) (onnx.Contract, error) {
	profile := p.Dataset.Profile
	if run := p.Run(m.Run); run != nil {
		profile = run.Profile
	}
	out, err := model.Contract(ctx, f.deps.Artifacts, c, profile, s.Classes)
	if err != nil {
		return out, err
	}
	if len(out.Features) == 0 {
		out.Features = ownFeatures(s)
	}
	if out.Task != onnx.Regression && len(out.Classes) == 0 {
		out.Classes = numberedClasses(out.Task, s)
	}
	return out, nil
}

// ownFeatures returns the features of a model whose pipeline lists none: its
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

// numberedClasses names the classes by their position when nothing names them.
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
