package state

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
)

// Reingest is the reading of kept uploads again under a new contract.
type Reingest struct {
	events.ReingestProgressed
	// Progress is the id of the newest event about it.
	Progress string    `json:"progress"`
	Started  time.Time `json:"started"`
	Changed  time.Time `json:"changed"`
}

// Reingesting reports whether kept uploads are being read again.
func (p *Pipeline) Reingesting() bool { return p.Reingest != nil && p.Reingest.Left > 0 }

// contractOf is the digest of how a configuration has uploads read.
func contractOf(c *config.Pipeline, prepared string) string {
	return events.Cause("contract", c.ContractDigest(), prepared)
}

// earlier reports whether the configuration of that digest had another contract
// than the current one. Of one that is not known it cannot be told.
func (p *Pipeline) earlier(digest string) bool {
	then := p.Contracts[digest]
	return then != "" && then != p.Contracts[p.Configured.Digest]
}

// Outdated returns the partitions of the dataset that were read under an earlier
// contract, in order. Partitions made of labels are not among them.
func (p *Pipeline) Outdated() []*Partition {
	var old []*Partition
	for _, m := range p.Dataset.Partitions {
		if p.earlier(m.Config) && !p.Config.WantsLabels(m.Object.Bucket, m.Object.Key) {
			old = append(old, m)
		}
	}
	return old
}

// OutdatedUploads returns the uploads since a time that were read under an
// earlier contract, whatever came of them, in their order.
func (p *Pipeline) OutdatedUploads(since time.Time) []*Object {
	var old []*Object
	if p.Config == nil {
		return nil
	}
	for _, o := range p.Objects {
		read := o.Status == ObjectIngested || o.Status == ObjectValid || o.Status == ObjectRejected
		if read && p.earlier(o.Config) && !o.Time.Before(since) &&
			(o.Bucket == "" || p.Config.WantsUpload(o.Bucket, o.Key)) && !p.Config.WantsLabels(o.Bucket, o.Key) {
			old = append(old, o)
		}
	}
	slices.SortFunc(old, func(a, b *Object) int { return cmp.Compare(a.Order, b.Order) })
	return old
}

func (p *Pipeline) reingested(h events.Header, d events.ReingestProgressed) bool {
	next := &Reingest{ReingestProgressed: d, Progress: h.ID, Started: h.Time, Changed: h.Time}
	if p.Reingest != nil && p.Reingest.Reingest == d.Reingest {
		next.Started = p.Reingest.Started
	}
	p.Reingest = next
	return true
}

func (p *Pipeline) noteContract(digest, contract string) {
	p.Contracts = maps.Clone(p.Contracts)
	if p.Contracts == nil {
		p.Contracts = map[string]string{}
	}
	p.Contracts[digest] = contract
}

// rereadPartition notes that the bytes of a partition of the dataset are those
// that the configuration makes of its object too.
func (p *Pipeline) rereadPartition(object, digest, config string) {
	i := slices.IndexFunc(p.Dataset.Partitions, func(m *Partition) bool { return m.Object.Name() == object && m.Data.Digest == digest })
	if i < 0 {
		return
	}
	m := *p.Dataset.Partitions[i]
	m.Config = config
	p.Dataset.Partitions = slices.Clone(p.Dataset.Partitions)
	p.Dataset.Partitions[i] = &m
}
