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

// parts are the two sides of a cut, in the artifact store.
type parts struct {
	// Train is a manifest: JSON of []events.File, canonical Parquet each. So
	// what two runs have in common is stored once.
	Train       events.Ref `json:"train"`
	TrainRows   int64      `json:"trainRows"`
	Holdout     events.Ref `json:"holdout"`
	HoldoutRows int64      `json:"holdoutRows"`
	Profile     events.Ref `json:"profile"`
}

// maxManifest bounds a manifest: a hundred thousand partitions.
const maxManifest = 64 << 20

// partitions reads which partitions a snapshot has.
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

// cut divides the partitions into what the trainer sees and the hold-out. It
// is deterministic, and kept under the run's key: an event that is handled
// again does not cut again. A *table.Unreadable says why there is nothing to
// cut.
func (f *F) cut(ctx context.Context, key string, c *config.Pipeline, in []source) (parts, error) {
	var made parts
	if b, err := os.ReadFile(f.cutFile(key)); err == nil && json.Unmarshal(b, &made) == nil {
		return made, nil
	}
	scratch, err := f.deps.Artifacts.TempDir("cut-*")
	if err != nil {
		return parts{}, err
	}
	defer os.RemoveAll(scratch)
	paths, err := f.narrow(ctx, c, in, filepath.Join(scratch, "window"))
	if err != nil {
		return parts{}, err
	}
	h := c.Spec.Data.Holdout
	trainDir, holdout := filepath.Join(scratch, "train"), filepath.Join(scratch, "holdout.parquet")
	cut := table.Cut{Fraction: h.Fraction, By: h.By, Time: c.Spec.Data.Time, Group: h.Group, Gap: h.Gap.Std()}
	if made.TrainRows, made.HoldoutRows, err = cut.Apply(ctx, paths, trainDir, holdout); err != nil {
		return parts{}, fmt.Errorf("cut the data: %w", err)
	}
	if err := f.keep(ctx, &made, trainDir, holdout); err != nil {
		return parts{}, err
	}
	b, err := json.Marshal(made)
	if err != nil {
		return parts{}, err
	}
	// Only to spare work: a loss, or half a file, is a cut made again.
	if err := os.WriteFile(f.cutFile(key), b, 0o600); err != nil {
		f.deps.Logger.WarnContext(ctx, "a cut can't be kept", "error", err)
	}
	return made, nil
}

func (f *F) cutFile(key string) string { return filepath.Join(f.cuts, key+".json") }

// keep puts both sides and the profile into the artifact store.
func (f *F) keep(ctx context.Context, made *parts, trainDir, holdout string) error {
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
