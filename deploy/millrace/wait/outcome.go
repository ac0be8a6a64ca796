package wait

import (
	"fmt"

	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

// End is how a chain ended.
type End string

// How a chain ends.
const (
	// Done: it reached the point up to which it was followed, or nothing more was
	// needed.
	Done End = "done"
	// Rejected: the data broke its contract, or the model failed a gate or a guardrail.
	Rejected End = "rejected"
	// Failed: the training failed.
	Failed End = "failed"
	// GivenUp: a function gave up an event of the chain, or did nothing about a
	// request.
	GivenUp End = "given up"
)

// Outcome is how a chain ended, and why.
type Outcome struct {
	End End `json:"end"`
	// Reason is one sentence; Hint says what to do.
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
	// Event is the id of the event that ended it, Type its type.
	Event string `json:"event"`
	Type  string `json:"type"`
	Run   string `json:"run,omitempty"`
	// Version is the resulting model, 0 without a model.
	Version int `json:"version,omitempty"`
	// Problems are those of rejected data, Verdicts those of the evaluation,
	// and Log has the last lines of a failed training.
	Problems []events.Problem `json:"problems,omitempty"`
	Verdicts []events.Verdict `json:"verdicts,omitempty"`
	Log      string           `json:"log,omitempty"`
}

// take folds one event of the chain.
func (c *Chain) take(e events.Envelope, d events.Data) {
	c.outcome = nil // an unsettled outcome is superseded
	if c.until == Answered {
		c.answer(e, d)
		return
	}
	if c.until == Read {
		c.read(e, d)
		return
	}
	switch d := d.(type) {
	case events.PartitionRejected:
		if len(d.Problems) == 0 {
			d.Problems = []events.Problem{{Check: d.Stage, Reason: "no reason was recorded"}}
		}
		o := Outcome{Reason: rejection(d), Problems: d.Problems, Hint: "correct the file and upload it again under the same name"}
		if d.Stage == "validate" {
			o.Hint += "; the contract is spec.data of the pipeline file"
		}
		c.end(e, Rejected, o)
	case events.LabelsIngested:
		c.end(e, Done, Outcome{Reason: summary.Of(e)})
		c.settled = false // the same commit may add a partition of the labelled rows
	case events.TrainingSkipped:
		if d.Until == "" {
			c.end(e, Done, Outcome{Reason: summary.Of(e), Run: d.Run})
		}
	case events.TrainingStarted:
		c.runs = append(c.runs, d.Run)
	case events.TrainingFailed:
		c.end(e, Failed, Outcome{Reason: d.Reason, Hint: d.Hint, Log: d.LogTail})
	case events.ModelApproved:
		c.version, c.verdict = d.Version, d.Verdicts
		if c.until == Judged {
			c.end(e, Done, Outcome{Reason: summary.Of(e)})
		}
	case events.ModelRejected:
		c.version, c.verdict = d.Version, d.Verdicts
		c.end(e, Rejected, Outcome{Reason: fmt.Sprintf("v%d was rejected: %s", d.Version, d.Reason)})
	case events.EventHandled:
		c.end(e, Done, Outcome{Reason: d.Reason})
		c.settled = false // the same commit may have other events
	case events.DeadLetterRecorded:
		c.gaveUp(e)
	default:
		c.rollout(e, d)
	}
}

// rejection returns a sentence that says why data was rejected.
func rejection(d events.PartitionRejected) string {
	first := d.Problems[0].String()
	if n := len(d.Problems); n > 1 {
		return fmt.Sprintf("%s was rejected for %d problems; the first: %s", d.Object.Name(), n, first)
	}
	return fmt.Sprintf("%s was rejected: %s", d.Object.Name(), first)
}

// rollout folds a change of the route.
func (c *Chain) rollout(e events.Envelope, d events.Data) {
	if v := rolledOut(d); v > 0 && c.version == 0 {
		c.version = v
	}
	switch d := d.(type) {
	case events.RolloutStarted:
		c.waits(e, d.Waits, d.Version)
	case events.RolloutAdvanced:
		c.waits(e, d.Waits, d.Version)
	case events.RolloutAborted:
		c.end(e, Rejected, Outcome{Reason: fmt.Sprintf("v%d was rolled back: %s", d.Version, d.Reason)})
	case events.ModelPromoted:
		c.end(e, Done, Outcome{Reason: summary.Of(e)})
	}
}

// waits ends the chain at a step that waits for approval.
func (c *Chain) waits(e events.Envelope, does bool, version int) {
	if does {
		c.end(e, Done, Outcome{
			Reason: summary.Of(e),
			Hint:   fmt.Sprintf("millrace promote %s %d, or millrace rollback %s", e.Pipeline, version, e.Pipeline),
		})
	}
}

// answer ends the chain with the first result of its root.
func (c *Chain) answer(e events.Envelope, d events.Data) {
	switch d := d.(type) {
	case events.EventHandled:
		c.end(e, GivenUp, Outcome{Reason: "nothing was done: " + d.Reason})
		c.settled = false // the same commit may have other events
	case events.DeadLetterRecorded:
		c.gaveUp(e)
	default:
		c.end(e, Done, Outcome{Reason: summary.Of(e)})
		c.settled = false // the same commit may have other events
	}
}

// read ends the chain when a reingest has ended. What follows from the uploads that
// it has read does not end it.
func (c *Chain) read(e events.Envelope, d events.Data) {
	switch d := d.(type) {
	case events.ReingestProgressed:
		switch {
		case d.Left > 0:
		case !c.has(e.CausationID):
			c.end(e, GivenUp, Outcome{Reason: summary.Of(e), Hint: "millrace reingest " + e.Pipeline + " reads the rest"})
		case d.Rejected > 0:
			c.end(e, Rejected, Outcome{Reason: summary.Of(e), Hint: "millrace status " + e.Pipeline + " names the uploads that are still as they were"})
		default:
			c.end(e, Done, Outcome{Reason: summary.Of(e)})
		}
	case events.EventHandled:
		if d.Event == c.root {
			c.end(e, Done, Outcome{Reason: d.Reason})
			c.settled = false // the same commit may have other events
		}
	case events.DeadLetterRecorded:
		if carrier(c.ids[d.Event.ID]) == "ingest" {
			c.gaveUp(e)
		}
	}
}

// gaveUp ends the chain with a dead letter.
func (c *Chain) gaveUp(e events.Envelope) {
	c.end(e, GivenUp, Outcome{
		Reason: summary.Of(e),
		Hint:   "millrace deadletters show " + e.ID + "; once the cause is fixed: millrace deadletters retry " + e.ID,
	})
}

func (c *Chain) end(e events.Envelope, end End, o Outcome) {
	o.End, o.Event, o.Type, o.Version, o.Verdicts = end, e.ID, e.Type, c.version, c.verdict
	if o.Run == "" {
		o.Run = c.Run()
	}
	c.outcome, c.settled = &o, true
}
