package gateway

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"millrace.dev/events"
)

// fact is one event of a history: what is needed to say how it came about,
// without its data.
type fact struct {
	id, kind, function, pipeline, subject string
	time                                  time.Time
	sequence                              uint64
	summary                               string
	verdicts                              []events.Verdict
	// causes led to it, effects came of it, both in the order of the log.
	causes, effects []*fact
	// data is kept of the few types that lineage is made of.
	data events.Data
}

// history is the events of a log with what led to what: a graph without cycles,
// since an event names only events before it.
//
// The cause that an event names is the one that was handled. Beside it stand
// the events that its data says it hangs on (because), and those that its data
// implies: the start of a run that ended, the rollout that went on, the
// judgement that let a version go live, the snapshot that was trained on.
type history struct {
	facts []*fact
	ids   map[string]*fact
	// names lead to the newest fact of that name: a run, a snapshot, a
	// partition, a key, by pipeline.
	names map[name]*fact
}

type name struct{ pipeline, kind, name string }

func newHistory() *history {
	return &history{ids: map[string]*fact{}, names: map[name]*fact{}}
}

// add takes the next event of the log.
func (h *history) add(e events.Envelope) {
	if h.ids[e.ID] != nil {
		return // Foreign ids are one by source only; the first stands.
	}
	n := &fact{
		id: e.ID, kind: e.Type, function: e.Function(), pipeline: e.Pipeline, subject: e.Subject,
		time: e.Time, sequence: e.Sequence, summary: events.Summary(e),
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
	slices.SortFunc(n.causes, func(a, b *fact) int { return cmp.Compare(a.sequence, b.sequence) })
	h.ids[n.id] = n
	h.facts = append(h.facts, n)
}

func (h *history) cause(n *fact, id string) { h.link(n, h.ids[id]) }

func (h *history) link(n, cause *fact) {
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

// imply links the fact with what its data says without naming an event, and
// gives it the names by which later facts, and people, mean it.
func (h *history) imply(n *fact, d events.Data) {
	is := func(kind, what string) { h.names[name{n.pipeline, kind, what}] = n }
	after := func(kind, what string) { h.link(n, h.names[name{n.pipeline, kind, what}]) }
	version := func(v int) string { return "v" + itoa(v) }
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

// minPrefix is how much of an id or digest must be given.
const minPrefix = 4

// find gives the facts that the word can mean: an event by its id, a run, a
// snapshot or partition by its digest, the newest upload of a key; beginnings
// of ids and digests are enough. Exact names come before beginnings.
func (h *history) find(word string) []*fact {
	if n := h.ids[word]; n != nil {
		return []*fact{n}
	}
	digest := strings.TrimPrefix(word, "sha256:")
	var exact, begun []*fact
	for key, n := range h.names {
		switch {
		case key.kind == aRollout || key.kind == anApproval || key.kind == anEnd:
		case key.name == word:
			exact = append(exact, n)
		case key.kind != aKey && len(digest) >= minPrefix && strings.HasPrefix(strings.TrimPrefix(key.name, "sha256:"), digest):
			begun = append(begun, n)
		}
	}
	if len(exact) > 0 {
		return unique(exact)
	}
	if len(word) >= minPrefix {
		for _, n := range h.facts {
			if strings.HasPrefix(n.id, word) {
				begun = append(begun, n)
			}
		}
	}
	return unique(begun)
}

func unique(facts []*fact) []*fact {
	slices.SortFunc(facts, func(a, b *fact) int { return cmp.Compare(a.sequence, b.sequence) })
	return slices.Compact(facts)
}
