package validate

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/bits"
	"slices"

	"millrace.dev/events"
	"millrace.dev/functions/validate/keyindex"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
)

// wholeRows stands for the columns of an index of whole rows.
var wholeRows = []string{"*"}

// sampleRows is how many rows of a partition an index of whole rows has at most,
// about: of larger partitions an even sample, by the ends of the keys.
const sampleRows = 1 << 16

// sampled is the number of zero bits in which the sampled keys of a partition end.
func sampled(rows int64) int { return bits.Len64(uint64(max(rows-1, 0) / sampleRows)) }

// addRows adds the keys of a file's rows over all columns, by name.
func addRows(ctx context.Context, sorter *keyindex.Sorter, path string) error {
	r, err := table.Open(path, nil)
	if err != nil {
		return err
	}
	columns, rows := r.Schema().Names(), r.Rows()
	if err := r.Close(); err != nil {
		return err
	}
	slices.Sort(columns)
	names := fnv.New64a()
	for _, name := range columns {
		fmt.Fprintf(names, "%d %s", len(name), name)
	}
	salt, zeros := names.Sum64(), sampled(rows)
	return table.Keys(ctx, path, columns, func(_ int64, keys []table.Key, _ []bool) error {
		for _, k := range keys {
			if k.Hi ^= salt; k.Hi&(1<<zeros-1) != 0 {
				continue
			}
			if err := sorter.Add(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// overlap warns of the partition that has most rows in common with the new one,
// and returns the index with it. Partitions that are older than the index are not
// compared. Where rows repeat within the partition, as in tables with few
// categories, as many repeat in others by chance: that is no overlap.
func (a *across) overlap(ctx context.Context, ix keyindex.Index) (keyindex.Index, []events.Problem, error) {
	added := memberOf(events.DatasetPartition{Object: a.part.Object, Data: a.part.Data})
	run, err := a.run(ctx, added, a.part.Data, wholeRows)
	if err != nil {
		return ix, nil, err
	}
	common := map[keyindex.Partition]int64{}
	err = ix.Find(ctx, a.deps.Artifacts, run, a.live, func(m keyindex.Match) { common[m.Partition]++ })
	if err != nil {
		return ix, nil, err
	}
	next := ix
	if !ix.Has(added) {
		live := map[keyindex.Partition]bool{added: true}
		for p := range a.live {
			live[p] = true
		}
		if next, err = ix.With(ctx, a.deps.Artifacts, a.scratch, run, live); err != nil {
			return ix, nil, err
		}
	}
	return next, a.overlapping(run, common), nil
}

// overlapping returns the warning about the keys that others have in common with a
// run.
func (a *across) overlapping(run keyindex.Run, common map[keyindex.Partition]int64) []events.Problem {
	if len(common) == 0 {
		return nil
	}
	var most int64
	var object string
	for _, m := range a.dataset {
		zeros := max(sampled(a.part.Rows), sampled(m.Rows))
		if n := common[memberOf(m.DatasetPartition)] << zeros; n > most {
			most, object = n, m.Object.Name()
		}
	}
	distinct := run.Keys << sampled(a.part.Rows)
	share, repeated := float64(most)/float64(distinct), 1-float64(run.Keys)/float64(run.Rows[0])
	if share <= 2*repeated {
		return nil
	}
	of, about := "rows", ""
	if repeated > 0 {
		of = "different rows"
	}
	if sampled(a.part.Rows) > 0 {
		about = "about "
	}
	reason := fmt.Sprintf("%s%s of %s %s are in %s too", about, humanize.Int(most), humanize.Int(distinct), of, object)
	if more := len(common) - 1; more > 0 {
		reason += ", and rows in " + humanize.Count(more, "other upload")
	}
	return []events.Problem{{
		Check: "overlap", Count: most, Fraction: min(share, 1),
		Reason: reason + "; if each row is to be delivered once, add a check unique {columns, across: dataset}, or data.key",
	}}
}
