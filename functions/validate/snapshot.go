package validate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// snapshotOf returns the dataset without the partition of one object and, if
// added is not nil, with that one in its place by order.
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

// digestOf returns a snapshot's digest: that of its partitions in order.
func digestOf(members []events.DatasetPartition) string {
	h := sha256.New()
	for _, m := range members {
		h.Write([]byte(m.Data.Digest + "\n"))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// retyped reports whether a column has another type than the contract gives it.
func retyped(p *table.Profile, c *config.Pipeline) bool {
	return slices.ContainsFunc(c.Columns(), func(want config.Column) bool {
		have := p.Column(want.Name)
		return have != nil && have.Type != table.Type(want.Type)
	})
}

// emit stores a snapshot's manifest and profile and fills the event.
func (f *F) emit(ctx context.Context, d events.DatasetValidated, members []events.DatasetPartition, profile *table.Profile) ([]events.Data, error) {
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

// restOf measures the dataset without the partition of one object. If the
// snapshot has no such partition, its own profile is the result; otherwise the
// profiles of the others are merged. Partitions that were read under an earlier
// contract with other types are left out: with the new ones they have no profile
// in common, and training refuses them.
func (f *F) restOf(ctx context.Context, p *state.Pipeline, object string) (rest, error) {
	d, old := p.Dataset, p.Outdated()
	if d.Partition(object) == nil {
		whole, err := f.profile(ctx, d.Profile)
		if err != nil || len(old) == 0 || !retyped(whole, p.Config) {
			return rest{len(d.Partitions), whole}, err
		}
	}
	var profiles []*table.Profile
	for _, m := range d.Partitions {
		if m.Object.Name() == object {
			continue
		}
		one, err := f.profile(ctx, m.Profile)
		if err != nil {
			return rest{}, err
		}
		if slices.Contains(old, m) && retyped(one, p.Config) {
			continue
		}
		profiles = append(profiles, one)
	}
	all, err := table.Merge(profiles...)
	return rest{len(profiles), all}, err
}
