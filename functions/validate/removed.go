package validate

import (
	"context"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// removed takes the partition of a removed object out of the dataset.
func (f *F) removed(ctx context.Context, e events.Event[events.PartitionRemoved], p *state.Pipeline) ([]events.Data, error) {
	name := e.Data.Object.Name()
	member, object := p.Dataset.Partition(name), p.Objects[name]
	switch {
	case member == nil && !underWay(object, e.Data.Partition):
		return function.Nothing("no partition of %s is in the dataset", name)
	case member != nil && backAgain(object, member):
		return function.Nothing("%s has been uploaded again", name)
	}
	v := events.DatasetValidated{Removed: e.Data.Partition, RemovedObject: name, Index: p.Dataset.Index}
	if member != nil {
		v.Removed = member.Data.Digest
	}
	others, err := f.restOf(ctx, p, name)
	if err != nil {
		return nil, err
	}
	members := snapshotOf(p.Dataset, name, nil, 0)
	if p.Config != nil {
		known, err := f.indexes(ctx, p.Dataset.Index)
		if err != nil {
			return nil, err
		}
		if v.Superseded, err = f.superseded(ctx, p.Config, known, members); err != nil {
			return nil, err
		}
	}
	return f.emit(ctx, v, members, others.profile)
}

// underWay reports whether the partition of a removed object may be in
// validation now, by a decision that does not see the removal.
func underWay(o *state.Object, partition string) bool {
	return o != nil && o.Partition == partition && o.Status == state.ObjectRemoved && o.Before == state.ObjectIngested
}

// backAgain reports whether the partition in the dataset is from an upload
// after the removal.
func backAgain(o *state.Object, m *state.Partition) bool {
	return o != nil && o.Partition == m.Data.Digest && (o.Status == state.ObjectIngested || o.Status == state.ObjectValid)
}
