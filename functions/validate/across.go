package validate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/validate/keyindex"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// indexes are the key indexes of a dataset, one for each list of columns.
type indexes []keyindex.Index

// maxIndexBytes bounds a stored list of runs: a million partitions.
const maxIndexBytes = 256 << 20

// across compares the keys of a partition with those of the rest of the dataset.
type across struct {
	*F
	// scratch has temporary files.
	scratch string
	// dataset is the dataset without the partition that the new one replaces,
	// live its partitions.
	dataset []*state.Partition
	live    map[keyindex.Partition]bool
	// part is the new partition, path its file once rows of it are shown.
	part events.PartitionIngested
	path string
}

// acrossDataset compares the keys of a partition with those of the dataset. It
// returns the keys that must be unique and are not, a warning if whole rows are in
// another partition, and the dataset's indexes with the keys of the partition.
func (f *F) acrossDataset(ctx context.Context, p *state.Pipeline, d events.PartitionIngested) (problems, told []events.Problem, next indexes, err error) {
	rules, key := datasetKeys(p.Config), p.Config.Spec.Data.Key
	scratch, err := f.deps.Artifacts.TempDir("keys-*")
	if err != nil {
		return nil, nil, nil, err
	}
	defer os.RemoveAll(scratch)
	a := &across{F: f, scratch: scratch, part: d, live: map[keyindex.Partition]bool{}}
	for _, m := range p.Dataset.Partitions {
		if m.Object.Name() != d.Object.Name() {
			a.dataset = append(a.dataset, m)
			a.live[memberOf(m.DatasetPartition)] = true
		}
	}
	known, err := f.indexes(ctx, p.Dataset.Index)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, rule := range rules {
		ix, run, err := a.index(ctx, known.of(rule.Unique.Columns))
		if err != nil {
			return nil, nil, nil, err
		}
		broken, err := a.unique(ctx, rule, ix, run)
		if err != nil {
			return nil, nil, nil, err
		}
		problems, next = append(problems, broken...), next.with(ix)
	}
	if len(key) > 0 {
		ix, _, err := a.index(ctx, known.of(key))
		if err != nil {
			return nil, nil, nil, err
		}
		next = next.with(ix)
	}
	if len(next) == 0 {
		ix, overlap, err := a.overlap(ctx, known.of(wholeRows))
		return nil, overlap, indexes{ix}, err
	}
	return problems, nil, next, nil
}

// with returns the indexes with another one, unless one has its columns.
func (all indexes) with(ix keyindex.Index) indexes {
	if slices.ContainsFunc(all, func(n keyindex.Index) bool { return slices.Equal(n.Columns, ix.Columns) }) {
		return all
	}
	return append(all, ix)
}

// putIndexes stores the indexes of a snapshot; without any the reference is zero.
func (f *F) putIndexes(ctx context.Context, all indexes) (events.Ref, error) {
	if len(all) == 0 {
		return events.Ref{}, nil
	}
	b, err := json.Marshal(all)
	if err != nil {
		return events.Ref{}, err
	}
	return f.deps.Artifacts.PutBytes(ctx, b, ".json")
}

// superseded counts the rows of a snapshot that a newer row with the same data.key
// supersedes. Rows to train on and rows of fixed test files do not supersede each
// other.
func (f *F) superseded(ctx context.Context, c *config.Pipeline, all indexes, members []events.DatasetPartition) (rows int64, err error) {
	key := c.Spec.Data.Key
	if len(key) == 0 {
		return 0, nil
	}
	var live [2]map[keyindex.Partition]bool
	for i := range live {
		live[i] = map[keyindex.Partition]bool{}
	}
	for _, m := range members {
		side := 0
		if c.HoldsOut(m.Object.Bucket, m.Object.Key) {
			side = 1
		}
		live[side][memberOf(m)] = true
	}
	for _, side := range live {
		if len(side) == 0 {
			continue
		}
		n, err := all.of(key).Repeated(ctx, f.deps.Artifacts, side)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// datasetKeys returns the checks that hold for all rows of the dataset.
func datasetKeys(c *config.Pipeline) (checks []config.Check) {
	for _, check := range c.Spec.Data.Checks {
		if check.Unique.Across == config.UniqueAcrossDataset {
			checks = append(checks, check)
		}
	}
	return checks
}

func memberOf(p events.DatasetPartition) keyindex.Partition {
	return keyindex.Partition{Object: p.Object.Name(), Digest: p.Data.Digest}
}

// indexes reads the indexes of a snapshot. If they are gone, they are made again.
func (f *F) indexes(ctx context.Context, ref events.Ref) (indexes, error) {
	if ref.IsZero() {
		return nil, nil
	}
	b, err := f.deps.Artifacts.Bytes(ctx, ref, maxIndexBytes)
	if errors.Is(err, artifact.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the key index: %w", err)
	}
	var known indexes
	return known, json.Unmarshal(b, &known)
}

// of returns the index with these columns, an empty one if there is no such index.
func (all indexes) of(columns []string) keyindex.Index {
	for _, ix := range all {
		if slices.Equal(ix.Columns, columns) {
			return ix
		}
	}
	return keyindex.Index{Columns: columns}
}

// index returns the index with all partitions of the dataset and the new one,
// and the run of the new one. Partitions that the index does not have, since the
// rule is newer than they are, are added to it.
func (a *across) index(ctx context.Context, ix keyindex.Index) (keyindex.Index, keyindex.Run, error) {
	added := memberOf(events.DatasetPartition{Object: a.part.Object, Data: a.part.Data})
	live := map[keyindex.Partition]bool{added: true}
	for p := range a.live {
		live[p] = true
	}
	for _, m := range a.dataset {
		if ix.Has(memberOf(m.DatasetPartition)) {
			continue
		}
		run, err := a.run(ctx, memberOf(m.DatasetPartition), m.Data, ix.Columns)
		if err != nil {
			return ix, run, err
		}
		if ix, err = ix.With(ctx, a.deps.Artifacts, a.scratch, run, live); err != nil {
			return ix, run, err
		}
	}
	run, err := a.run(ctx, added, a.part.Data, ix.Columns)
	if err != nil || ix.Has(added) {
		return ix, run, err
	}
	ix, err = ix.With(ctx, a.deps.Artifacts, a.scratch, run, live)
	return ix, run, err
}

// run returns the sorted keys of a partition, unless they are cached.
func (a *across) run(ctx context.Context, p keyindex.Partition, data events.Ref, columns []string) (keyindex.Run, error) {
	cached := events.Cause(append([]string{"keys", data.Digest}, columns...)...)
	run := keyindex.Run{}
	if a.findings.get(cached, &run) {
		if _, err := a.deps.Artifacts.Path(ctx, run.Data); err == nil || run.Keys == 0 {
			run.Partitions = []keyindex.Partition{p} // another object may have equal rows
			return run, nil
		}
	}
	path, err := a.deps.Artifacts.Path(ctx, data)
	if err != nil {
		return run, err
	}
	sorter, err := keyindex.NewSorter(a.scratch)
	if err != nil {
		return run, err
	}
	defer func() { _ = sorter.Close() }() // the folder is removed too
	if slices.Equal(columns, wholeRows) {
		err = addRows(ctx, sorter, path)
	} else {
		err = addKeys(ctx, sorter, path, columns)
	}
	// A partition of an earlier contract may lack a column: it has no keys.
	if _, lacks := errors.AsType[*table.Unreadable](err); err != nil && !lacks {
		return run, fmt.Errorf("read the keys of partition %s: %w", data.Short(), err)
	}
	if run, err = sorter.Put(ctx, a.deps.Artifacts, a.scratch, p); err != nil {
		return run, fmt.Errorf("sort the keys of partition %s: %w", data.Short(), err)
	}
	return run, a.findings.put(cached, run)
}

// addKeys adds the keys of a file's rows that have one.
func addKeys(ctx context.Context, sorter *keyindex.Sorter, path string, columns []string) error {
	return table.Keys(ctx, path, columns, func(_ int64, keys []table.Key, null []bool) error {
		for i, k := range keys {
			if null[i] {
				continue
			}
			if err := sorter.Add(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxMatches is how many keys of other partitions are held in memory. Past that
// their number is the number of rows that is reported.
const maxMatches = 1 << 16

// unique returns the problem that rows of the partition have keys of others.
func (a *across) unique(ctx context.Context, rule config.Check, ix keyindex.Index, run keyindex.Run) ([]events.Problem, error) {
	matches := map[table.Key]keyindex.Partition{}
	keys := int64(0)
	var last table.Key
	err := ix.Find(ctx, a.deps.Artifacts, run, a.live, func(m keyindex.Match) {
		k := m.Key()
		if _, ok := matches[k]; ok || k == last && keys > 0 {
			return
		}
		last = k
		keys++
		if len(matches) < maxMatches {
			matches[k] = m.Partition
		}
	})
	if err != nil || keys == 0 {
		return nil, err
	}
	if a.path, err = a.deps.Artifacts.Path(ctx, a.part.Data); err != nil {
		return nil, err
	}
	repeats, err := a.repeats(ctx, rule.Unique.Columns, matches)
	if err != nil {
		return nil, err
	}
	count := max(keys, repeats.count)
	share := float64(count) / float64(a.part.Rows)
	if share <= rule.MaxFraction {
		return nil, nil
	}
	examples, err := a.examples(ctx, rule.Unique.Columns, repeats)
	if err != nil {
		return nil, err
	}
	columns := strings.Join(rule.Unique.Columns, ", ")
	first := examples[0]
	return []events.Problem{{
		Check: rule.Name, Count: count, Fraction: share, Allowed: rule.MaxFraction, Examples: examples,
		Reason: fmt.Sprintf("%d of %d rows (%s) have the same %s as a row of another upload: row %d (%s) repeats row %d of %s; allowed: %s; if newer rows replace older ones, set data.key instead",
			count, a.part.Rows, table.Percent(share), columns, first[table.RowKey], written(first, rule.Unique.Columns),
			first[table.RepeatsKey], first[table.ObjectKey], table.Percent(rule.MaxFraction)),
	}}, nil
}

// written shows the values of some columns of a row.
func written(row map[string]any, columns []string) string {
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = fmt.Sprintf("%s %s", c, head(fmt.Sprint(row[c]), maxShown))
	}
	return strings.Join(values, ", ")
}

// repeats are rows with keys of other partitions: how many, and the first ones.
type repeats struct {
	count int64
	rows  []int64
	keys  []table.Key
	in    []keyindex.Partition
}

// repeats finds the rows of the partition that have one of the keys.
func (a *across) repeats(ctx context.Context, columns []string, matches map[table.Key]keyindex.Partition) (repeats, error) {
	var found repeats
	err := table.Keys(ctx, a.path, columns, func(first int64, keys []table.Key, null []bool) error {
		for i, k := range keys {
			in, ok := matches[keyindex.Shorten(k)]
			if null[i] || !ok {
				continue
			}
			found.count++
			if len(found.rows) < table.MaxExamples {
				found.rows = append(found.rows, first+int64(i))
				found.keys, found.in = append(found.keys, k), append(found.in, in)
			}
		}
		return nil
	})
	return found, err
}

// examples returns the first rows with the objects and rows that they repeat.
func (a *across) examples(ctx context.Context, columns []string, found repeats) ([]map[string]any, error) {
	rows, err := table.Examples(ctx, a.path, found.rows)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		row[table.ObjectKey] = found.in[i].Object
	}
	for _, m := range a.dataset {
		in := memberOf(m.DatasetPartition)
		if !slices.Contains(found.in, in) {
			continue
		}
		path, err := a.deps.Artifacts.Path(ctx, m.Data)
		if err != nil {
			return nil, err
		}
		err = table.Keys(ctx, path, columns, func(first int64, keys []table.Key, null []bool) error {
			for i, k := range keys {
				for n := range rows {
					if !null[i] && found.in[n] == in && found.keys[n] == k && rows[n][table.RepeatsKey] == nil {
						rows[n][table.RepeatsKey] = first + int64(i) + 1
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find a row in partition %s: %w", m.Data.Short(), err)
		}
	}
	return rows, nil
}
