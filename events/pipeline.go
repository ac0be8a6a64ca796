package events

import (
	"encoding/json"
	"slices"
	"strings"
)

// PipelineConfigured says which configuration rules from now on. It is
// announced when a pipeline's file is loaded and differs from the one in the
// state. Every decision uses it, never the file on disk.
type PipelineConfigured struct {
	// Digest is the configuration's: of its meaning, not of its formatting.
	Digest string `json:"digest"`
	// Bundle holds the pipeline's file with its prepare and tables.
	Bundle Ref `json:"bundle"`
	// Spec is the whole pipeline as canonical JSON with defaults filled in,
	// carried here so that the fold needs no other bytes than the log's.
	Spec json.RawMessage `json:"spec"`
	// Dir is the pipeline's folder on the machine that trains locally.
	Dir string `json:"dir,omitempty"`
	// Prepared is the digest of prepare and its tables, empty without prepare.
	Prepared string `json:"prepared,omitempty"`
	// Commit is the Git commit of the folder, "-dirty" behind it if it had changes.
	Commit string `json:"commit,omitempty"`
}

// maxSpecBytes leaves room for the rest of the event.
const maxSpecBytes = 512 << 10

func (PipelineConfigured) EventType() string      { return "dev.millrace.pipeline.configured.v1" }
func (d PipelineConfigured) EventSubject() string { return "config/" + Short(d.Digest) }
func (d PipelineConfigured) Validate() error {
	var m mistakes
	m.required("digest", d.Digest)
	m.ref("bundle", d.Bundle)
	m.add(json.Valid(d.Spec), "spec is not JSON")
	m.add(len(d.Spec) <= maxSpecBytes, "spec has %d bytes; at most %d are taken", len(d.Spec), maxSpecBytes)
	return m.err()
}

// ScheduleTicked says that a schedule is due. The cron source of a laptop or
// a PingSource sends it; both make the same event for the same due time.
type ScheduleTicked struct {
	Schedule string `json:"schedule"`
	// Action is retrain, drift-check, sweep, tick or freshness. A tick is for those
	// who look whether something they wait for has become due; freshness says that
	// the data of data.expect has not arrived in time.
	Action string `json:"action"`
	// Due is when it was due, RFC 3339.
	Due string `json:"due"`
	// Pipeline is whose schedule it is.
	Pipeline string `json:"pipeline"`
}

// tickActions are the values of ScheduleTicked.Action.
var tickActions = []string{"retrain", "drift-check", "sweep", "tick", "freshness"}

// TickActions returns the values that ScheduleTicked.Action may have, by which
// triggers choose the function that a tick wakes.
func TickActions() []string { return slices.Clone(tickActions) }

func (ScheduleTicked) EventType() string      { return "dev.millrace.schedule.ticked.v1" }
func (d ScheduleTicked) EventSubject() string { return "schedule/" + d.Schedule }
func (d ScheduleTicked) Attributes() map[string]string {
	return map[string]string{"action": d.Action}
}

// Origin makes a schedule's due time tick once, no matter who notices it.
func (d ScheduleTicked) Origin() (function, cause string) {
	return "schedule", Cause("schedule", d.Pipeline, d.Schedule, d.Due)
}
func (d ScheduleTicked) Validate() error {
	var m mistakes
	m.required("schedule", d.Schedule)
	m.required("due", d.Due)
	m.add(slices.Contains(tickActions, d.Action), "action %q is not one of %s", d.Action, strings.Join(tickActions, ", "))
	return m.err()
}
