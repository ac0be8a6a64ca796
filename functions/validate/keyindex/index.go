package keyindex

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"

	"millrace.dev/shared/artifact"
)

// Index is the keys of a dataset's partitions in some columns. Its methods do not
// change it.
type Index struct {
	Columns []string `json:"columns"`
	Runs    []Run    `json:"runs"`
}

// Has reports whether the index has the keys of a partition.
func (ix Index) Has(p Partition) bool {
	return slices.ContainsFunc(ix.Runs, func(r Run) bool { return slices.Contains(r.Partitions, p) })
}

const (
	// mergeRuns is how many runs of equal size are merged.
	mergeRuns = 8
	// mergeKeys bounds the keys of a merge, and so its duration: 256 MiB.
	mergeKeys = 16 << 20
)

// size is the magnitude of a run: runs of one size differ by less than a factor
// of mergeRuns.
func (r Run) size() int { return bits.Len64(uint64(r.Keys)) / bits.Len(mergeRuns-1) }

// With returns the index with another run, merged where there are mergeRuns of a
// size. Partitions that are not live are left out of what is merged, and runs
// without a live partition are dropped. Temporary files are in the folder dir.
func (ix Index) With(ctx context.Context, store *artifact.Store, dir string, added Run, live map[Partition]bool) (Index, error) {
	runs := slices.DeleteFunc(slices.Clone(ix.Runs), func(r Run) bool {
		return !slices.ContainsFunc(r.Partitions, func(p Partition) bool { return live[p] })
	})
	runs = append(runs, added)
	for {
		some := mergeable(runs)
		if some == nil {
			return Index{ix.Columns, runs}, nil
		}
		merged, err := mergeAll(ctx, store, dir, some, live)
		if err != nil {
			return Index{}, fmt.Errorf("merge %d runs of a key index: %w", len(some), err)
		}
		at := slices.IndexFunc(runs, some[0].same)
		runs = slices.DeleteFunc(runs, func(r Run) bool { return slices.ContainsFunc(some, r.same) })
		runs = slices.Insert(runs, at, merged)
	}
}

func (r Run) same(other Run) bool {
	return r.Data == other.Data && slices.Equal(r.Partitions, other.Partitions)
}

// mergeable returns the first mergeRuns runs of one size, nil if there are
// fewer of each.
func mergeable(runs []Run) []Run {
	bySize := map[int][]Run{}
	for _, r := range runs {
		s := r.size()
		bySize[s] = append(bySize[s], r)
		if some := bySize[s]; len(some) == mergeRuns {
			keys := int64(0)
			for _, r := range some {
				keys += r.Keys
			}
			if keys <= mergeKeys {
				return some
			}
		}
	}
	return nil
}

// mergeAll makes one run of several.
func mergeAll(ctx context.Context, store *artifact.Store, dir string, runs []Run, live map[Partition]bool) (Run, error) {
	var merged Run
	places := make([][]int, len(runs)) // of the runs' partitions in the merged run, -1 for those left out
	for i, r := range runs {
		for k, p := range r.Partitions {
			place := -1
			if live[p] {
				place = len(merged.Partitions)
				merged.Partitions, merged.Rows = append(merged.Partitions, p), append(merged.Rows, r.Rows[k])
			}
			places[i] = append(places[i], place)
		}
	}
	open, err := openAll(ctx, store, runs)
	defer closeAll(open)
	if err != nil {
		return Run{}, err
	}
	var streams []*stream
	var of []int // the run of each stream
	for i, f := range open {
		if f != nil {
			streams, of = append(streams, newStream(f)), append(of, i)
		}
	}
	merged.Data, merged.Keys, err = putRun(ctx, store, dir, func(w io.Writer) (int64, error) {
		return writeMerged(w, streams, func(from int, e entry) (entry, bool) {
			place := places[of[from]][e.partition()]
			return e.at(place), place >= 0 && ctx.Err() == nil
		})
	})
	if ctx.Err() != nil {
		return Run{}, context.Cause(ctx)
	}
	return merged, err
}

// openAll opens the files of runs, nil for a run without keys.
func openAll(ctx context.Context, store *artifact.Store, runs []Run) ([]*os.File, error) {
	open := make([]*os.File, len(runs))
	for i, r := range runs {
		if r.Keys == 0 {
			continue
		}
		path, err := store.Path(ctx, r.Data)
		if err != nil {
			return open, err
		}
		if open[i], err = os.Open(path); err != nil {
			return open, err
		}
	}
	return open, nil
}

// closeAll closes files that were only read.
func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Find calls f for each key of a run that a live partition of the index has too.
// For a key that several have it calls f several times.
func (ix Index) Find(ctx context.Context, store *artifact.Store, want Run, live map[Partition]bool, f func(Match)) error {
	if want.Keys == 0 {
		return nil
	}
	keys, err := openAll(ctx, store, []Run{want})
	defer closeAll(keys)
	if err != nil {
		return fmt.Errorf("open the keys of a partition: %w", err)
	}
	for _, r := range ix.Runs {
		s := source{run: r}
		for _, p := range r.Partitions {
			s.live = append(s.live, live[p])
		}
		if r.Keys == 0 || !slices.Contains(s.live, true) {
			continue
		}
		if err := find(ctx, store, s, keys[0], want.Keys, f); err != nil {
			return fmt.Errorf("search a key index: %w", err)
		}
	}
	return nil
}

func find(ctx context.Context, store *artifact.Store, s source, keys *os.File, wanted int64, f func(Match)) error {
	open, err := openAll(ctx, store, []Run{s.run})
	defer closeAll(open)
	if err != nil {
		return err
	}
	s.file = open[0]
	return s.find(ctx, keys, wanted, f)
}

// Repeated returns how many rows of live partitions have a key that another of
// their rows has too, one row of each such key not counted.
func (ix Index) Repeated(ctx context.Context, store *artifact.Store, live map[Partition]bool) (rows int64, err error) {
	open, err := openAll(ctx, store, ix.Runs)
	defer closeAll(open)
	if err != nil {
		return 0, fmt.Errorf("open a key index: %w", err)
	}
	var streams []*stream
	var of []int // the run of each stream
	for i, r := range ix.Runs {
		for k, p := range r.Partitions {
			if live[p] {
				rows += r.Rows[k]
			}
		}
		if open[i] != nil {
			streams, of = append(streams, newStream(open[i])), append(of, i)
		}
	}
	var last entry
	some := false
	err = merge(streams, func(from int, e entry) error {
		if !live[ix.Runs[of[from]].Partitions[e.partition()]] || some && compareKeys(last, e) == 0 {
			return nil
		}
		last, some = e, true
		if rows--; rows%4096 == 0 {
			return context.Cause(ctx)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read a key index: %w", err)
	}
	return rows, nil
}

// Put stores the keys of one partition. Temporary files are in the folder dir.
func (s *Sorter) Put(ctx context.Context, store *artifact.Store, dir string, p Partition) (Run, error) {
	run := Run{Partitions: []Partition{p}, Rows: []int64{s.rows}}
	var err error
	run.Data, run.Keys, err = putRun(ctx, store, dir, s.write)
	return run, err
}
