package api

import (
	"time"

	"millrace.dev/events"
)

// Why says what led to an event, and what followed from it.
type Why struct {
	// Event is the event that was asked for. Its causes lead back to the
	// origins, its effects forward.
	Event WhyNode `json:"event"`
	// Lineage has the inputs of the run behind the event, nil without a run.
	Lineage *Lineage `json:"lineage,omitempty"`
	// Truncated means that there are more causes or effects than are shown.
	Truncated bool `json:"truncated,omitempty"`
}

// WhyNode is one event in the tree of causes or effects.
type WhyNode struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Pipeline string    `json:"pipeline"`
	Function string    `json:"function,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Time     time.Time `json:"time"`
	Sequence uint64    `json:"sequence"`
	// Summary says in one line what the event says.
	Summary  string           `json:"summary"`
	Verdicts []events.Verdict `json:"verdicts,omitempty"`
	// Repeated says that the event is elsewhere in the tree, with its own
	// causes or effects.
	Repeated bool       `json:"repeated,omitempty"`
	Causes   []*WhyNode `json:"causes,omitempty"`
	Effects  []*WhyNode `json:"effects,omitempty"`
}

// Lineage has the inputs of a run.
type Lineage struct {
	Run      string         `json:"run"`
	Snapshot string         `json:"snapshot"`
	Config   string         `json:"config"`
	Commit   string         `json:"commit,omitempty"`
	Code     string         `json:"code"`
	Params   map[string]any `json:"params,omitempty"`
	// Partitions are those of the snapshot, in its order.
	Partitions []LineagePartition `json:"partitions"`
}

// LineagePartition is one member of a snapshot.
type LineagePartition struct {
	Object string `json:"object"`
	Digest string `json:"digest"`
	Rows   int64  `json:"rows"`
	// Upload is the id of the event that brought it, Time when.
	Upload string    `json:"upload,omitempty"`
	Time   time.Time `json:"time,omitzero"`
}
