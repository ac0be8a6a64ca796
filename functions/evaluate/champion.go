package evaluate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// loadChampion loads the model that serves. It is nil if there is no champion
// to compare with; if there should be one, a note has the reason.
func (f *F) loadChampion(ctx context.Context, c *evaluation) (*loadedModel, error) {
	if c.champion == nil {
		return nil, nil
	}
	k := &loadedModel{patience: f.cfg.ProbeTimeout}
	err := f.openChampion(ctx, c, k)
	if err == nil {
		return k, nil
	}
	k.close()
	if bad, ok := errors.AsType[*refusal](err); ok {
		c.dropChampion(bad)
		return nil, nil
	}
	return nil, err
}

func (f *F) openChampion(ctx context.Context, c *evaluation, k *loadedModel) error {
	path, err := f.place(ctx, k, c.champion.Model)
	if errors.Is(err, artifact.ErrNotFound) {
		return refuse("its files are not in the artifact store any more")
	}
	if err != nil {
		return err
	}
	if err := k.open(path, f.cfg.Threads); err != nil {
		return refuse("%s", plain(err, path))
	}
	rules, err := f.configOf(ctx, c)
	if err != nil {
		return err
	}
	if k.contract, err = f.contract(ctx, rules, c.championProfile, k.model.Signature().Classes); err != nil {
		return err
	}
	k.contract.Task = c.config.Spec.Model.Task
	holdout, err := f.deps.Artifacts.Path(ctx, c.holdout)
	if err != nil {
		return err
	}
	schema, _, err := table.ReadSchema(holdout)
	if err != nil {
		return err
	}
	if k.model.Check(k.contract) == nil && k.fit(schema) == nil {
		return nil
	}
	// No configuration says what it reads, as for a registered model. Its
	// inputs have names.
	if k.contract.Features, err = ownFeatures(k.model.Signature(), schema); err != nil {
		return err
	}
	if err := k.model.Check(k.contract); err != nil {
		return refuse("%s", plain(err, path))
	}
	return nil
}

// dropChampion notes why there is no comparison with the champion.
func (c *evaluation) dropChampion(why error) {
	c.note("champion v%d cannot run on this hold-out: %s", c.champion.Version, why)
	c.report.Champion = nil
}

// configOf returns the configuration that the champion was trained under: the
// log has all of them, and the features may have changed since.
func (f *F) configOf(ctx context.Context, c *evaluation) (*config.Pipeline, error) {
	return f.trainedUnder(ctx, c, c.championConfig, c.champion.Version)
}

// trainedUnder returns the configuration of that digest, under which the version
// was trained; the current one if it is not known.
func (f *F) trainedUnder(ctx context.Context, c *evaluation, digest string, version int) (*config.Pipeline, error) {
	if digest == "" || digest == c.digest {
		return c.config, nil
	}
	then, err := f.configured(ctx, c.config.Name(), digest)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of v%d: %w", version, err)
	}
	if then == nil {
		return c.config, nil
	}
	return then, nil
}

// configured returns the configuration with the digest from the log, nil if it
// is not there.
func (f *F) configured(ctx context.Context, pipeline, digest string) (*config.Pipeline, error) {
	filter := eventlog.Filter{Pipeline: pipeline, Types: []string{events.PipelineConfigured{}.EventType()}}
	for e, err := range f.deps.Log.Read(ctx, filter) {
		if err != nil {
			return nil, err
		}
		d, err := events.Decode[events.PipelineConfigured](e)
		if err != nil || d.Data.Digest != digest {
			continue
		}
		if then, err := config.FromJSON(d.Data.Spec); err == nil {
			return then, nil
		}
	}
	return nil, nil
}

// ownFeatures reads a model's features from the names of its inputs.
func ownFeatures(s onnx.Signature, schema table.Schema) ([]onnx.Feature, error) {
	var features []onnx.Feature
	var missing []string
	for _, in := range s.Inputs {
		i := schema.Index(in.Name)
		if i < 0 {
			missing = append(missing, in.Name)
			continue
		}
		features = append(features, onnx.Feature{Name: in.Name, Type: onnx.Type(schema[i].Type)})
	}
	if missing != nil {
		return nil, refuse("it reads %s, which the hold-out does not have", strings.Join(missing, ", "))
	}
	return features, nil
}
