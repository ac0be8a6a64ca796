package validate

import (
	"context"
	"fmt"
	"slices"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// ingested decides whether a partition joins the dataset.
func (f *F) ingested(ctx context.Context, e events.Event[events.PartitionIngested], p *state.Pipeline) ([]events.Data, error) {
	d := e.Data
	name := d.Object.Name()
	object := p.Objects[name]
	replaced := p.Dataset.Partition(name)
	switch {
	case p.Config == nil:
		return nil, function.Reject(fmt.Errorf("pipeline %s has no configuration yet; load its file, then send the event again", p.Name))
	case object == nil:
		return function.Nothing("no upload of %s is known", name)
	case object.Partition != d.Data.Digest:
		return function.Nothing("superseded by a newer partition of %s", name)
	case object.Status == state.ObjectRemoved:
		return function.Nothing("%s has been removed", name)
	case replaced != nil && replaced.Data.Digest == d.Data.Digest:
		return function.Nothing("the partition of %s is in the dataset already", name)
	}
	found, err := f.find(ctx, p, d.Data)
	if err != nil {
		return nil, err
	}
	others, err := f.restOf(ctx, p, name)
	if err != nil {
		return nil, err
	}
	beside, err := f.besideOthers(ctx, p, d, found, others)
	if err != nil {
		return nil, err
	}
	if problems := append(found.Problems, beside.problems...); len(problems) > 0 {
		return f.reject(ctx, d, p, problems)
	}
	added := &events.DatasetPartition{Object: d.Object, Data: d.Data, Rows: d.Rows, Profile: found.Profile, Sequence: object.Arrival}
	members := snapshotOf(p.Dataset, name, added, object.Order)
	v := events.DatasetValidated{Added: added}
	if v.Superseded, err = f.superseded(ctx, p.Config, beside.indexes, members); err != nil {
		return nil, err
	}
	if v.Index, err = f.putIndexes(ctx, beside.indexes); err != nil {
		return nil, err
	}
	if replaced != nil {
		v.Removed, v.RemovedObject = replaced.Data.Digest, name
	}
	if v.Warnings, _, err = trim(beside.warnings); err != nil {
		return nil, err
	}
	profile := found.profile
	if others.partitions > 0 {
		if profile, err = table.Merge(others.profile, found.profile); err != nil {
			return nil, err
		}
	}
	return f.emit(ctx, v, members, profile)
}

// comparison is what a partition is beside the others of the dataset.
type comparison struct {
	problems, warnings []events.Problem
	// indexes are those of the dataset with the partition.
	indexes indexes
}

// besideOthers compares a partition with the rest of the dataset, unless it breaks
// the contract by itself.
func (f *F) besideOthers(ctx context.Context, p *state.Pipeline, d events.PartitionIngested, found finding, others rest) (c comparison, err error) {
	if len(found.Problems) > 0 {
		return c, nil
	}
	if c.problems = conflicts(found.profile, others); len(c.problems) > 0 {
		return c, nil
	}
	twins := twin(p, d)
	c.warnings = append(warnings(p.Config, found.profile, others), twins...)
	broken, untested, err := f.beyond(ctx, p, d.Object, found.profile)
	if err != nil {
		return c, err
	}
	repeated, overlap, next, err := f.acrossDataset(ctx, p, d)
	if len(twins) > 0 {
		overlap = nil // the warning about all rows says it
	}
	c.problems, c.warnings, c.indexes = append(broken, repeated...), slices.Concat(c.warnings, untested, overlap), next
	return c, err
}

// twin warns of a partition with the same rows under another name.
func twin(p *state.Pipeline, d events.PartitionIngested) []events.Problem {
	for _, m := range p.Dataset.Partitions {
		if m.Data.Digest == d.Data.Digest && m.Object.Name() != d.Object.Name() {
			return []events.Problem{{Check: "duplicate", Count: d.Rows, Fraction: 1, Reason: "the same rows are in the dataset as " + m.Object.Name()}}
		}
	}
	return nil
}

func (f *F) reject(ctx context.Context, d events.PartitionIngested, p *state.Pipeline, problems []events.Problem) ([]events.Data, error) {
	trimmed, report, err := f.report(ctx, problems)
	if err != nil {
		return nil, err
	}
	return []events.Data{events.PartitionRejected{
		Object: d.Object, Stage: Name, Data: d.Data, Content: d.Content, Config: p.Configured.Digest,
		Rows: d.Rows, Problems: trimmed, Report: report,
	}}, nil
}
