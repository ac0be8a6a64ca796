// Package lineage answers why something happened: a pure fold over the events
// of a log into a graph of causes and effects, and the trees and lineages that
// are read from it.
package lineage

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

// Fact is one event of a history: what is needed to say how it came about,
// without its data.
type Fact struct {
	id, kind, function, pipeline, subject string
	time                                  time.Time
	sequence                              uint64
	summary                               string
	verdicts                              []events.Verdict
	// causes led to it, effects came of it, both in the order of the log.
	causes, effects []*Fact
	// data is kept of the few types that lineage is made of.
	data events.Data
}

// History is the events of a log, linked by cause: a graph without cycles,
// since an event names only events before it. It is not safe for concurrent
// use.
//
// The cause that an event names is the event that was handled. To it are added
// the events in the data's list of reasons (because), and those that the data
// implies: the start of a run that ended, the rollout that advanced, the
// evaluation that approved a version, the snapshot that was trained on.
type History struct {
	facts []*Fact
	ids   map[string]*Fact
	// names lead to the newest fact of that name: a run, a snapshot, a
	// partition, a key, by pipeline.
	names map[name]*Fact
}

type name struct{ pipeline, kind, name string }

// New returns an empty history.
func New() *History {
	return &History{ids: map[string]*Fact{}, names: map[name]*Fact{}}
}

// Add adds the next event of the log.
func (h *History) Add(e events.Envelope) {
	if h.ids[e.ID] != nil {
		return // Foreign ids are one by source only; the first stands.
	}
	n := &Fact{
		id: e.ID, kind: e.Type, function: e.Function(), pipeline: e.Pipeline, subject: e.Subject,
		time: e.Time, sequence: e.Sequence, summary: summary.Of(e),
	}
	h.cause(n, e.CausationID)
	if d, err := events.DecodeData(e); err == nil {
		if r, ok := d.(events.Reasoned); ok {
			for _, id := range r.Because() {
				h.cause(n, id)
			}
		}
		h.imply(n, d)
	}
	slices.SortFunc(n.causes, func(a, b *Fact) int { return cmp.Compare(a.sequence, b.sequence) })
	h.ids[n.id] = n
	h.facts = append(h.facts, n)
}

func (h *History) cause(n *Fact, id string) { h.link(n, h.ids[id]) }

func (h *History) link(n, cause *Fact) {
	if cause == nil || slices.Contains(n.causes, cause) {
		return
	}
	n.causes = append(n.causes, cause)
	cause.effects = append(cause.effects, n)
}

// names of facts.
const (
	aRun       = "run"
	anEnd      = "end" // of a run
	aSnapshot  = "snapshot"
	aPartition = "partition"
	aKey       = "key"
	aRollout   = "rollout"
	anApproval = "approval"
	aConfig    = "config"
)

// imply adds the causes found in the payload (run, snapshot, version), and
// indexes the event by those names.
func (h *History) imply(n *Fact, d events.Data) {
	is := func(kind, what string) { h.names[name{n.pipeline, kind, what}] = n }
	after := func(kind, what string) { h.link(n, h.names[name{n.pipeline, kind, what}]) }
	version := func(v int) string { return "v" + strconv.Itoa(v) }
	switch d := d.(type) {
	case events.PipelineConfigured:
		n.data = events.PipelineConfigured{Digest: d.Digest, Commit: d.Commit, Dir: d.Dir}
		is(aConfig, d.Digest)
	case events.ObjectUploaded:
		is(aKey, d.Name())
	case events.ObjectRemoved:
		is(aKey, d.Name())
	case events.PartitionIngested:
		is(aPartition, d.Data.Digest)
	case events.DatasetValidated:
		n.data = d
		is(aSnapshot, d.Snapshot)
	case events.TrainingStarted:
		n.data = d
		after(aSnapshot, d.Snapshot)
		is(aRun, d.Run)
	case events.TrainingCompleted:
		after(aRun, d.Run)
		is(anEnd, d.Run)
	case events.TrainingFailed:
		after(aRun, d.Run)
		is(anEnd, d.Run)
	case events.TrainingProgressed:
		after(aRun, d.Run)
	case events.ModelApproved:
		n.verdicts = d.Verdicts
		after(anEnd, d.Run)
		is(anApproval, version(d.Version))
	case events.ModelRejected:
		n.verdicts = d.Verdicts
		after(anEnd, d.Run)
	case events.RolloutStarted:
		after(anApproval, version(d.Version))
		is(aRollout, version(d.Version))
	case events.RolloutAdvanced:
		after(aRollout, version(d.Version))
	case events.RolloutAborted:
		after(aRollout, version(d.Version))
	case events.RolloutCompleted:
		after(aRollout, version(d.Version))
	case events.ModelPromoted:
		after(aRollout, version(d.Version))
	case events.ModelRolledBack:
		after(aRollout, version(d.Version))
	case events.DeadLetterRecorded:
		h.cause(n, d.Event.ID)
	case events.DeadLetterClosed:
		h.cause(n, d.DeadLetter)
	}
}

// Find returns the facts that the word can mean, in the order of the log: an
// event by its id, a run, a snapshot or partition by its digest, the newest
// upload of a key. Prefixes of ids and digests are enough, from
// events.MinPrefix characters on. Exact matches win over prefixes.
func (h *History) Find(word string) []*Fact {
	if n := h.ids[word]; n != nil {
		return []*Fact{n}
	}
	digest := strings.TrimPrefix(word, "sha256:")
	var exact, begun []*Fact
	for key, n := range h.names {
		switch {
		case key.kind == aRollout || key.kind == anApproval || key.kind == anEnd:
		case key.name == word:
			exact = append(exact, n)
		case key.kind != aKey && len(digest) >= events.MinPrefix && strings.HasPrefix(strings.TrimPrefix(key.name, "sha256:"), digest):
			begun = append(begun, n)
		}
	}
	if len(exact) > 0 {
		return unique(exact)
	}
	if len(word) >= events.MinPrefix {
		for _, n := range h.facts {
			if strings.HasPrefix(n.id, word) {
				begun = append(begun, n)
			}
		}
	}
	return unique(begun)
}

// ID is the event's id.
func (f *Fact) ID() string { return f.id }

// Summary says in one line what the event says.
func (f *Fact) Summary() string { return f.summary }

func unique(facts []*Fact) []*Fact {
	slices.SortFunc(facts, func(a, b *Fact) int { return cmp.Compare(a.sequence, b.sequence) })
	return slices.Compact(facts)
}
