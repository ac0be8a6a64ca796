package validate

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Files are files that the rules about a whole dataset hold against each other, as
// they would uploads one after the other: keys that must be unique across the
// dataset, rows that data.key supersedes, and rows that are in another file too.
// It is not safe for concurrent use.
type Files struct {
	f *F
	p *state.Pipeline
}

// NewFiles returns Files without any. They keep what they know in dir.
func NewFiles(ctx context.Context, c *config.Pipeline, dir string) (*Files, error) {
	root := filepath.Join(dir, "artifacts")
	if err := os.MkdirAll(root, 0o750); err != nil {
		return nil, err
	}
	store, err := artifact.OpenStore(ctx, "file://"+filepath.ToSlash(root), filepath.Join(dir, "cache"))
	if err != nil {
		return nil, err
	}
	findings, err := openCache(filepath.Join(dir, "findings"), 0)
	if err != nil {
		return nil, err
	}
	return &Files{f: &F{deps: function.Deps{Artifacts: store}, findings: findings}, p: &state.Pipeline{Config: c}}, nil
}

// Add holds the partition at path, made of a file of that name, against those before.
// It returns the problems for which it would be rejected, in which case it is not
// added, what a warning would say, and how many rows of all files a newer row with the same
// data.key supersedes.
func (s *Files) Add(ctx context.Context, name, path string, rows int64) (problems, warnings []events.Problem, superseded int64, err error) {
	data, err := s.f.deps.Artifacts.PutFile(ctx, path, ".parquet", false)
	if err != nil {
		return nil, nil, 0, err
	}
	var part events.PartitionIngested // which is never sent
	part.Object.Key, part.Data, part.Rows = name, data, rows
	problems, warnings, next, err := s.f.acrossDataset(ctx, s.p, part)
	if err != nil || len(problems) > 0 {
		return problems, nil, 0, err
	}
	d := &s.p.Dataset
	if d.Index, err = s.f.putIndexes(ctx, next); err != nil {
		return nil, nil, 0, err
	}
	d.Partitions = slices.DeleteFunc(d.Partitions, func(m *state.Partition) bool { return m.Object.Key == name })
	d.Partitions = append(d.Partitions, &state.Partition{DatasetPartition: events.DatasetPartition{Object: part.Object, Data: data, Rows: rows}})
	members := make([]events.DatasetPartition, len(d.Partitions))
	for i, m := range d.Partitions {
		members[i] = m.DatasetPartition
	}
	superseded, err = s.f.superseded(ctx, s.p.Config, next, members)
	return nil, warnings, superseded, err
}

// HasKeys reports whether rules of the pipeline are about keys in the whole dataset.
func HasKeys(c *config.Pipeline) bool {
	return len(datasetKeys(c)) > 0 || len(c.Spec.Data.Key) > 0
}
