// Package wait tells from the events of a log how something ended that a
// person waits for: an upload, a training, a registered model, a promotion. It
// is a fold over events and knows no server and no clock.
package wait

import (
	"slices"

	"millrace.dev/events"
)

// Until says how far a chain is followed.
type Until int

// How far a chain is followed.
const (
	// Served ends when the model that came of it has all traffic, or when
	// nothing more comes of it.
	Served Until = iota
	// Judged ends with the evaluation's verdict.
	Judged
	// Answered ends with the first thing that came of it.
	Answered
)

// Chain is what follows from one event. The zero value is not ready; use New.
type Chain struct {
	until Until
	ids   map[string]string // of the events that belong to it, with their types
	root  string
	runs  []string
	// version is the model that came of it, 0 before it is known.
	version int
	// verdict is the last evaluation of the version.
	verdict []events.Verdict
	outcome *Outcome
	// settled says that no event to come changes the outcome.
	settled bool
}

// New follows what comes of the event with the id root.
func New(root string, until Until) *Chain {
	return &Chain{until: until, root: root, ids: map[string]string{root: ""}}
}

// carrier is the function by which the chain goes on from an event of a type:
// what other functions make of that event does not end the chain.
func carrier(eventType string) string {
	switch eventType {
	case events.ObjectUploaded{}.EventType(), events.ObjectRemoved{}.EventType():
		return "ingest"
	case events.PartitionIngested{}.EventType(), events.PartitionRemoved{}.EventType():
		return "validate"
	case events.DatasetValidated{}.EventType(), events.TrainingRequested{}.EventType(), events.TrainingStarted{}.EventType():
		return events.RunFunction
	case events.TrainingCompleted{}.EventType(), events.ModelRegistered{}.EventType(), events.EvaluationRequested{}.EventType():
		return "evaluate"
	case events.ModelApproved{}.EventType(), events.PromotionApproved{}.EventType(), events.RollbackRequested{}.EventType():
		return "promote"
	}
	return ""
}

// See takes the next event of the log and tells whether it belongs to the
// chain. Events must come in the order of the log, the root or later.
func (c *Chain) See(e events.Envelope) bool {
	if e.ID == c.root {
		c.ids[e.ID] = e.Type
		return true
	}
	d, err := events.DecodeData(e)
	if err != nil || !c.follows(e, d) {
		return false
	}
	c.ids[e.ID] = e.Type
	if !c.settled {
		c.take(e, d)
	}
	return true
}

// Ended gives the outcome, nil while there is none. One that is not settled
// stands unless another event of the chain comes within a moment: a handling
// may have announced several.
func (c *Chain) Ended() (outcome *Outcome, settled bool) { return c.outcome, c.settled }

// Version is the model that came of it, 0 before it is known.
func (c *Chain) Version() int { return c.version }

// Run is the newest training that came of it, empty before the first.
func (c *Chain) Run() string {
	if len(c.runs) == 0 {
		return ""
	}
	return c.runs[len(c.runs)-1]
}

// follows tells whether an event belongs to the chain: what it was announced
// because of does, or its run, or the rollout of its version.
func (c *Chain) follows(e events.Envelope, d events.Data) bool {
	if r, ok := d.(events.Reasoned); ok && slices.ContainsFunc(r.Because(), c.has) {
		return true
	}
	switch d := d.(type) {
	case events.EventHandled:
		of := c.ids[d.Event]
		return c.has(d.Event) && d.Function == carrier(of) && of != (events.TrainingStarted{}).EventType() // that run goes on by itself
	case events.DeadLetterRecorded:
		return c.has(d.Event.ID) && d.Function == carrier(c.ids[d.Event.ID])
	case events.EventDeferred, events.DeadLetterClosed:
		return false
	case events.TrainingProgressed:
		return slices.Contains(c.runs, d.Run)
	case events.TrainingCompleted:
		return slices.Contains(c.runs, d.Run)
	case events.TrainingFailed:
		return slices.Contains(c.runs, d.Run)
	}
	return c.has(e.CausationID) || c.version > 0 && c.version == rolledOut(d)
}

func (c *Chain) has(id string) bool { _, ok := c.ids[id]; return ok }

// rolledOut is the version that a change of the route is about, 0 of anything else.
func rolledOut(d events.Data) int {
	switch d := d.(type) {
	case events.RolloutStarted:
		return d.Version
	case events.RolloutAdvanced:
		return d.Version
	case events.RolloutAborted:
		return d.Version
	case events.RolloutCompleted:
		return d.Version
	case events.ModelPromoted:
		return d.Version
	case events.ModelRolledBack:
		return d.Version
	}
	return 0
}
