package validate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"millrace.dev/events"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// snapshotOf is the dataset without the partition of one object and, if added
// is not nil, with another one in the place that order gives it.
func snapshotOf(d state.Dataset, without string, added *events.DatasetPartition, order int) []events.DatasetPartition {
	members := []events.DatasetPartition{}
	for _, m := range d.Partitions {
		if added != nil && m.Order > order {
			members = append(members, *added)
			added = nil
		}
		if m.Object.Name() != without {
			members = append(members, m.DatasetPartition)
		}
	}
	if added != nil {
		members = append(members, *added)
	}
	return members
}

// digestOf names a snapshot by its partitions in order.
func digestOf(members []events.DatasetPartition) string {
	h := sha256.New()
	for _, m := range members {
		h.Write([]byte(m.Data.Digest + "\n"))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// announce stores a snapshot's manifest and profile and fills the event.
func (f *F) announce(ctx context.Context, d events.DatasetValidated, members []events.DatasetPartition, profile *table.Profile) ([]events.Data, error) {
	manifest, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	if d.Manifest, err = f.deps.Artifacts.PutBytes(ctx, manifest, ".json"); err != nil {
		return nil, err
	}
	if d.Profile, err = f.putProfile(ctx, profile); err != nil {
		return nil, err
	}
	d.Snapshot, d.Partitions = digestOf(members), len(members)
	for _, m := range members {
		d.Rows += m.Rows
	}
	return []events.Data{d}, nil
}

// restOf measures the dataset without the partition of one object. The
// snapshot's own profile is that, unless it has such a partition: then those
// of the others are merged.
func (f *F) restOf(ctx context.Context, d state.Dataset, object string) (rest, error) {
	if d.Partition(object) == nil {
		p, err := f.profile(ctx, d.Profile)
		return rest{len(d.Partitions), p}, err
	}
	var profiles []*table.Profile
	for _, m := range d.Partitions {
		if m.Object.Name() == object {
			continue
		}
		p, err := f.profile(ctx, m.Profile)
		if err != nil {
			return rest{}, err
		}
		profiles = append(profiles, p)
	}
	all, err := table.Merge(profiles...)
	return rest{len(profiles), all}, err
}
