package trainlauncher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// parts are the two parts of a split, in the artifact store.
type parts struct {
	// Train is a manifest: JSON of []events.File, each canonical Parquet. So the
	// files that two runs share are stored once.
	Train       events.Ref `json:"train"`
	TrainRows   int64      `json:"trainRows"`
	Holdout     events.Ref `json:"holdout"`
	HoldoutRows int64      `json:"holdoutRows"`
	// Superseded are rows that are on neither side: a newer one has their key.
	Superseded int64      `json:"superseded,omitempty"`
	Profile    events.Ref `json:"profile"`
	// Warnings are what makes a judgement on the hold-out doubtful.
	Warnings []events.Problem `json:"warnings,omitempty"`
}

// splitRule counts the changes of what a split makes of the same configuration
// and the same data. It is in the run's key, so that a run of an earlier rule
// does not stand for one of this rule: its hold-out would be another.
//
//	1: by hash, the label and all other columns counted; columns as uploaded
//	2: by hash, only the features count; features first, then the label;
//	   missing strings as model.missing has them
const splitRule = "2"

// maxManifest bounds a manifest: a hundred thousand partitions.
const maxManifest = 64 << 20

// partitions reads the manifest of a snapshot.
func (f *F) partitions(ctx context.Context, s *state.Snapshot) ([]events.DatasetPartition, error) {
	var out []events.DatasetPartition
	if err := f.readJSON(ctx, s.Manifest, &out); err != nil {
		return nil, fmt.Errorf("read the manifest of snapshot %s: %w", events.Short(s.Digest), err)
	}
	return out, nil
}

func (f *F) readJSON(ctx context.Context, ref events.Ref, v any) error {
	b, err := f.deps.Artifacts.Bytes(ctx, ref, maxManifest)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// split divides the partitions into what the trainer sees and the hold-out. It
// is deterministic, and cached under the run's key: an event that is handled
// again does not split again. A *table.Unreadable says why the data cannot be
// split.
//
// all are the partitions of the snapshot: a row of a partition that the window
// leaves out may supersede one within it.
func (f *F) split(ctx context.Context, key string, c *config.Pipeline, in []source, all []events.DatasetPartition) (parts, error) {
	var made parts
	if b, err := os.ReadFile(f.splitFile(key)); err == nil && json.Unmarshal(b, &made) == nil {
		return made, nil
	}
	scratch, err := f.deps.Artifacts.TempDir("split-*")
	if err != nil {
		return parts{}, err
	}
	defer os.RemoveAll(scratch)
	for i := range in {
		if err := f.fetch(ctx, &in[i]); err != nil {
			return parts{}, err
		}
	}
	if in, made.Superseded, err = f.newest(ctx, c, scratch, in, all); err != nil {
		return parts{}, err
	}
	paths := make([]string, len(in))
	for i := range in {
		paths[i] = in[i].path
	}
	if err := fits(c, in); err != nil {
		return parts{}, err
	}
	trainDir, holdout := filepath.Join(scratch, "train"), filepath.Join(scratch, "holdout.parquet")
	split := rule(c, in)
	divided, err := split.Apply(ctx, paths, trainDir, holdout)
	if err != nil {
		return parts{}, fmt.Errorf("split the data: %w", err)
	}
	made.TrainRows, made.HoldoutRows = divided.Train, divided.Holdout
	for _, w := range divided.Warnings {
		made.Warnings = append(made.Warnings, events.Problem{
			Check: w.Check, Column: w.Column, Reason: w.Reason, Count: w.Count, Fraction: w.Fraction, Allowed: w.Allowed,
		})
	}
	if err := f.keep(ctx, &made, c, trainDir, holdout); err != nil {
		return parts{}, err
	}
	b, err := json.Marshal(made)
	if err != nil {
		return parts{}, err
	}
	// This is only a cache: if the file is lost or incomplete, the split is made
	// again.
	if err := os.WriteFile(f.splitFile(key), b, 0o600); err != nil {
		f.deps.Logger.WarnContext(ctx, "a split cannot be cached", "error", err)
	}
	return made, nil
}

// rule is how the pipeline splits these partitions.
func rule(c *config.Pipeline, in []source) table.Split {
	d, m := c.Spec.Data, c.Spec.Model
	h := d.Holdout
	s := table.Split{
		Fraction: h.Fraction, By: h.By, Time: d.Time, Group: h.Group, Gap: h.Gap.Std(), Span: d.Window.Span.Std(),
		Features: m.Features, Label: m.Label, Seed: h.Seed, Stratify: h.Stratify, Identity: d.Key,
	}
	// Labels that come later belong to entities: these columns tell two rows
	// with equal features apart.
	if !d.Labels.ByPrediction() {
		s.Key = d.Labels.Key
	}
	if h.By == config.HoldoutByUploads {
		s.By = table.ByFile
	}
	for _, p := range in {
		s.Names = append(s.Names, p.Data.Digest)
		s.Held = append(s.Held, p.held)
	}
	return s
}

func (f *F) splitFile(key string) string { return filepath.Join(f.splits, key+".json") }

// keep puts both sides and the profile into the artifact store. The profile has
// missing values as missing, the train part as the trainer gets them.
func (f *F) keep(ctx context.Context, made *parts, c *config.Pipeline, trainDir, holdout string) error {
	names, err := filepath.Glob(filepath.Join(trainDir, "*.parquet")) // sorted
	if err != nil {
		return err
	}
	profile, err := table.ProfileFiles(ctx, names...)
	if err != nil {
		return fmt.Errorf("profile the train part: %w", err)
	}
	b, err := profile.MarshalBinary()
	if err != nil {
		return fmt.Errorf("write the train part's profile: %w", err)
	}
	if err := writeMissing(c, profile, names); err != nil {
		return err
	}
	files := make([]events.File, len(names))
	for i, name := range names {
		ref, err := f.deps.Artifacts.PutFile(ctx, name, ".parquet", true)
		if err != nil {
			return fmt.Errorf("keep the train part: %w", err)
		}
		files[i] = events.File{Name: filepath.Base(name), Ref: ref}
	}
	manifest, err := json.Marshal(files)
	if err != nil {
		return err
	}
	var errs [3]error
	made.Train, errs[0] = f.deps.Artifacts.PutBytes(ctx, manifest, ".json")
	made.Holdout, errs[1] = f.deps.Artifacts.PutFile(ctx, holdout, ".parquet", true)
	made.Profile, errs[2] = f.deps.Artifacts.PutBytes(ctx, b, ".profile")
	return errors.Join(errs[:]...)
}
