// Package api is the JSON of the HTTP API under /api and /uploads: what the
// gateway answers and what its clients read. A client links this package and
// no part of the server.
//
// Times are RFC 3339 in UTC. Digests are "sha256:" and hex. Fields are only
// added; one that is renamed is written under both names for one version.
package api

import "time"

// Accepted answers a request that was put into the event log: a retraining, a
// promotion, a dead letter that is sent again.
type Accepted struct {
	// Event is the id of the event.
	Event string `json:"event"`
}

// Upload is the result of an upload, or of a removal, in one pipeline.
type Upload struct {
	Pipeline string `json:"pipeline"`
	// Event is the id of object.uploaded or object.removed.
	Event  string `json:"event"`
	Key    string `json:"key"`
	Digest string `json:"digest,omitempty"`
	// Size is in bytes.
	Size int64 `json:"size,omitempty"`
	// Duplicate means that the same bytes had been uploaded before. Event is
	// then the earlier one.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Uploads answers an upload or a removal, with one entry for each pipeline
// that takes the key.
type Uploads struct {
	Uploads []Upload `json:"uploads"`
}

// Registered answers the registration of a model.
type Registered struct {
	Event  string `json:"event"`
	Digest string `json:"digest"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// Version is the model's number; 0 if it is not known yet.
	Version int `json:"version,omitempty"`
	// Duplicate means that the same model had been registered under that name.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Status is the state of the installation.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// UptimeSeconds is that of the gateway.
	UptimeSeconds float64          `json:"uptimeSeconds"`
	Log           LogSize          `json:"log"`
	Pipelines     []PipelineStatus `json:"pipelines"`
	// Failing are the events that a function has failed to handle and tries again,
	// the longest first, of the pipelines that the caller may read.
	Failing []Failing `json:"failing"`
}

// Failing is an event that a function has failed to handle and tries again.
type Failing struct {
	Function string `json:"function"`
	Pipeline string `json:"pipeline"`
	// Event is the id, Type and Subject say what it is about.
	Event   string `json:"event"`
	Type    string `json:"type"`
	Subject string `json:"subject,omitempty"`
	// Attempt is how many have failed, Attempts after how many it is given up.
	Attempt  int `json:"attempt"`
	Attempts int `json:"attempts"`
	// First is when it was tried first, Next when it is tried again.
	First time.Time `json:"first"`
	Next  time.Time `json:"next"`
	// Reason is what the newest attempt failed of.
	Reason string `json:"reason"`
}

// LogSize is the size and condition of the event log.
type LogSize struct {
	Events uint64 `json:"events"`
	Bytes  uint64 `json:"bytes"`
	// Degraded says why nothing can be stored now; empty when events can be stored.
	Degraded string `json:"degraded,omitempty"`
	// Trouble is Degraded under its former name, for one version.
	Trouble    string     `json:"trouble,omitempty"`
	Unreadable Unreadable `json:"unreadable"`
}

// Unreadable says which records of the log are not events and are skipped.
type Unreadable struct {
	// Count is the number of such records found so far.
	Count uint64 `json:"count"`
	// Records are the first of them, at most 1,000.
	Records []UnreadableRecord `json:"records,omitempty"`
	// Checked is the sequence up to which the log has been checked, Last that of its newest record.
	Checked uint64 `json:"checked"`
	Last    uint64 `json:"last"`
}

// UnreadableRecord is a record of the log that is not an event.
type UnreadableRecord struct {
	Sequence uint64    `json:"sequence"`
	Subject  string    `json:"subject"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason"`
}

// PipelineStatus sums up one pipeline.
type PipelineStatus struct {
	Pipeline    string    `json:"pipeline"`
	Description string    `json:"description,omitempty"`
	Task        string    `json:"task"`
	Config      string    `json:"config"`
	Commit      string    `json:"commit,omitempty"`
	Dir         string    `json:"dir,omitempty"`
	Configured  time.Time `json:"configured"`
	// Uploads are the globs of data and labels.
	Uploads []string `json:"uploads"`
	// Objects counts the objects by their status.
	Objects    map[ObjectStatus]int `json:"objects,omitempty"`
	Snapshot   string               `json:"snapshot,omitempty"`
	Partitions int                  `json:"partitions"`
	Rows       int64                `json:"rows"`
	// Superseded is how many of the rows a newer row with the same data.key
	// supersedes: they are neither trained on nor held out.
	Superseded int64 `json:"superseded,omitempty"`
	// SetAside is how many rows were left out of the dataset's partitions under
	// data.quarantine, SetAsideUploads of how many uploads.
	SetAside        int64 `json:"setAside,omitempty"`
	SetAsideUploads int   `json:"setAsideUploads,omitempty"`
	// Late is set while the data of data.expect has not arrived.
	Late *LateRow `json:"late,omitempty"`
	// Outdated is how many partitions of the dataset were read under an earlier
	// contract, OutdatedUploads the names of the first of them.
	Outdated        int      `json:"outdated,omitempty"`
	OutdatedUploads []string `json:"outdatedUploads,omitempty"`
	// Reingest is the newest reading of kept uploads again.
	Reingest *ReingestRow `json:"reingest,omitempty"`
	// Runs counts all runs; Running are those under way.
	Runs    int      `json:"runs"`
	Running []RunRow `json:"running,omitempty"`
	// PendingTraining is training that waits for its time or for data.
	PendingTraining *PendingTraining `json:"pendingTraining,omitempty"`
	// Wish is PendingTraining under its former name, for one version.
	//
	// Deprecated: read PendingTraining.
	Wish   *PendingTraining `json:"wish,omitempty"`
	Models int              `json:"models"`
	Route  RouteRow         `json:"route"`
	Drift  *DriftRow        `json:"drift,omitempty"`
	Served ServedRow        `json:"served"`
	Dead   int              `json:"deadLetters"`
	Last   *RunRow          `json:"lastRun,omitempty"`
	Newest *ModelRow        `json:"newestModel,omitempty"`
}

// LateRow is a dataset without the data that is expected.
type LateRow struct {
	// Last is when the last upload joined the dataset, nil before the first.
	Last *time.Time `json:"last,omitempty"`
	// Due is when the next one was expected at the latest.
	Due    time.Time `json:"due"`
	Reason string    `json:"reason"`
	// Announced is when dataset.late was emitted.
	Announced time.Time `json:"announced"`
}

// Pending is the training that waits, whichever version of the server says so;
// nil if none does.
func (p PipelineStatus) Pending() *PendingTraining {
	if p.PendingTraining != nil {
		return p.PendingTraining
	}
	return p.Wish
}

// Imported is the result of an import.
type Imported struct {
	Pipeline string `json:"pipeline"`
	// Events is how many the history has, New how many were not here before.
	Events int `json:"events"`
	New    int `json:"new"`
	// Artifacts came with it; Missing were not in the store that it was
	// exported from.
	Artifacts int `json:"artifacts"`
	Missing   int `json:"missing,omitempty"`
}
