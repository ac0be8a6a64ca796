package api

import (
	"time"

	"millrace.dev/events"
)

// ReplayRequest says what is to be replayed.
type ReplayRequest struct {
	Function string `json:"function"`
	// From and To are the first and the last sequence of the events that are
	// decided again; To is 0 for the newest.
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"`
	// Config overrides the recorded configuration with this pipeline file
	// (YAML); empty keeps it. File is its name in error messages.
	Config string `json:"config,omitempty"`
	File   string `json:"file,omitempty"`
	// DryRun must be set: a replay never changes anything.
	DryRun bool `json:"dryRun"`
}

// ReplayReport is the result of a replay.
type ReplayReport struct {
	Pipeline string `json:"pipeline"`
	Function string `json:"function"`
	From     uint64 `json:"from"`
	// To is the sequence of the last event that was replayed.
	To uint64 `json:"to"`
	// Replayed counts the recorded decisions that were decided again;
	// Differences are those with another result.
	Replayed    int                `json:"replayed"`
	Differences []ReplayDifference `json:"differences"`
	// Measured counts the evaluations that had to read the hold-out's rows.
	Measured int `json:"measured,omitempty"`
	// Summary says in a sentence what would have been different.
	Summary string `json:"summary"`
	// Seconds is how long the replay took.
	Seconds float64 `json:"seconds"`
}

// ReplayDifference is one event that would be decided otherwise.
type ReplayDifference struct {
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Version is the model version that the event is about, 0 without one.
	Version  int            `json:"version,omitempty"`
	Recorded ReplayDecision `json:"recorded"`
	Replayed ReplayDecision `json:"replayed"`
}

// ReplayDecision is what a function emitted because of an event.
type ReplayDecision struct {
	// Announced are the events in short ("model.approved"), empty when there
	// was nothing to emit.
	Announced []string `json:"announced"`
	// Says are their summaries, for a person.
	Says []string `json:"says"`
	// Verdicts are those of an evaluation.
	Verdicts []events.Verdict `json:"verdicts,omitempty"`
	// Error says why the function could not decide.
	Error string `json:"error,omitempty"`
}
