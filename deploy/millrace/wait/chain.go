// Package wait derives from the event log how something ended that a command
// waits for: an upload, a training, a registered model, a promotion. It is a
// fold over events, without a server or a clock.
package wait

import (
	"slices"

	"millrace.dev/events"
)

// Until is the point up to which a chain is followed.
type Until int

// The points up to which a chain can be followed.
const (
	// Served ends when the resulting model has all traffic, or when nothing
	// more follows.
	Served Until = iota
	// Judged ends with the evaluation's verdict.
	Judged
	// Answered ends with the first event that follows.
	Answered
	// Read ends when a reingest has read its last upload.
	Read
)

// Chain is the chain of events that follow from one event. Use New; the zero
// value is not usable. It is not safe for concurrent use.
type Chain struct {
	until Until
	ids   map[string]string // types of the chain's events, by id
	root  string
	runs  []string
	// version is the resulting model, 0 before it is known.
	version int
	// verdict is the last evaluation of the version.
	verdict []events.Verdict
	outcome *Outcome
	// settled means that no later event can change the outcome.
	settled bool
}

// New returns the chain of the event whose id is root.
func New(root string, until Until) *Chain {
	return &Chain{until: until, root: root, ids: map[string]string{root: ""}}
}

// carrier returns the function that continues the chain after an event of the
// type. The results of other functions for that event do not end the chain.
func carrier(eventType string) string {
	switch eventType {
	case events.ObjectUploaded{}.EventType(), events.ObjectRemoved{}.EventType(), events.ReingestRequested{}.EventType(), events.ReingestProgressed{}.EventType():
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

// See takes the next event of the log and reports whether it belongs to the
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

// Ended returns the outcome, nil before there is one. An outcome that is not
// settled is final only if no other event of the chain follows at once: a commit
// can have several events.
func (c *Chain) Ended() (outcome *Outcome, settled bool) { return c.outcome, c.settled }

// Version returns the resulting model, 0 before it is known.
func (c *Chain) Version() int { return c.version }

// Run returns the id of the newest resulting run, "" before the first.
func (c *Chain) Run() string {
	if len(c.runs) == 0 {
		return ""
	}
	return c.runs[len(c.runs)-1]
}

// follows reports whether an event belongs to the chain: through its cause, its
// run, or the rollout of its version.
func (c *Chain) follows(e events.Envelope, d events.Data) bool {
	if r, ok := d.(events.Reasoned); ok && slices.ContainsFunc(r.Because(), c.has) {
		return true
	}
	switch d := d.(type) {
	case events.EventHandled:
		of := c.ids[d.Event]
		return c.has(d.Event) && d.Function == carrier(of) && of != (events.TrainingStarted{}).EventType() // the run continues by itself
	case events.DeadLetterRecorded:
		return c.has(d.Event.ID) && d.Function == carrier(c.ids[d.Event.ID])
	case events.EventDeferred, events.DeadLetterClosed:
		return false
	case events.ReingestProgressed:
		return d.Reingest == c.root // that of a request to stop it, too
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

// rolledOut returns the version that a change of the route is about, 0 for other
// events.
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
