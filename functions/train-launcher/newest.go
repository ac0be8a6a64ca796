package trainlauncher

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// byAge returns partitions by their uploads, the oldest first. Those of earlier
// versions, which have no sequence, stay in the order of the snapshot.
func byAge(all []events.DatasetPartition) []events.DatasetPartition {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b events.DatasetPartition) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return all
}

// newest leaves out the rows of in that a newer row with the same data.key
// supersedes, in any partition of the snapshot, and returns how many they are.
// Rows to train on and rows of fixed test files do not supersede each other. The
// files that it writes are in the folder scratch.
func (f *F) newest(ctx context.Context, c *config.Pipeline, scratch string, in []source, all []events.DatasetPartition) (left []source, superseded int64, err error) {
	key := c.Spec.Data.Key
	if len(key) == 0 {
		return in, 0, nil
	}
	drop := map[string]*table.RowSet{} // by the object's name
	for _, held := range []bool{false, true} {
		var names, paths []string
		for _, p := range byAge(all) {
			if c.HoldsOut(p.Object.Bucket, p.Object.Key) != held {
				continue
			}
			s := source{DatasetPartition: p}
			if err := f.fetch(ctx, &s); err != nil {
				return nil, 0, err
			}
			names, paths = append(names, p.Object.Name()), append(paths, s.path)
		}
		sets, err := table.Superseded(ctx, scratch, key, paths)
		if err != nil {
			return nil, 0, fmt.Errorf("find the newest rows by %v: %w", key, err)
		}
		for i := range sets {
			drop[names[i]] = &sets[i]
		}
	}
	for i, s := range in {
		old := drop[s.Object.Name()]
		if old == nil || old.Len() == 0 {
			left = append(left, s)
			continue
		}
		superseded += old.Len()
		out := filepath.Join(scratch, fmt.Sprintf("newest-%05d.parquet", i))
		rows, err := table.Without(ctx, s.path, out, old)
		if err != nil {
			return nil, 0, fmt.Errorf("leave superseded rows out of partition %s: %w", s.Data.Short(), err)
		}
		if rows > 0 {
			s.path = out
			left = append(left, s)
		}
	}
	if len(left) == 0 {
		return nil, 0, &table.Unreadable{Reason: "all rows within data.window are superseded by newer rows outside of it", Try: "make the window larger"}
	}
	return left, superseded, nil
}
