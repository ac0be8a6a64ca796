package ingest

import (
	"context"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// removed takes the partition of a removed object out of the dataset. When the
// object has been uploaded again since, that upload decides.
func (f *F) removed(_ context.Context, e events.Event[events.ObjectRemoved], p *state.Pipeline) ([]events.Data, error) {
	name := e.Data.Name()
	object := p.Objects[name]
	if object == nil || object.Event != e.ID {
		return function.Nothing("superseded by a newer upload or removal of %s", name)
	}
	partition := object.Partition
	// The newest partition may have been rejected: then it is the one before
	// that stands in the dataset.
	if m := p.Dataset.Partition(name); m != nil {
		partition = m.Data.Digest
	}
	if partition == "" {
		return function.Nothing("%s had no partition", name)
	}
	return []events.Data{events.PartitionRemoved{Object: object.Object, Partition: partition}}, nil
}
