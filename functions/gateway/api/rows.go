package api

import (
	"time"

	"millrace.dev/events"
)

// ObjectStatus is how far an uploaded object has come.
type ObjectStatus string

// The statuses of an object.
const (
	ObjectUploaded ObjectStatus = "uploaded"
	ObjectIngested ObjectStatus = "ingested"
	ObjectValid    ObjectStatus = "valid"
	ObjectRejected ObjectStatus = "rejected"
	ObjectLabels   ObjectStatus = "labels"
	ObjectRemoved  ObjectStatus = "removed"
)

// RunStatus is how far a run has come.
type RunStatus string

// The statuses of a run.
const (
	RunStarted   RunStatus = "started"
	RunCompleted RunStatus = "completed"
	RunFailed    RunStatus = "failed"
)

// ModelState is a version's standing.
type ModelState string

// The standings of a version.
const (
	Candidate ModelState = "candidate"
	Canary    ModelState = "canary"
	Champion  ModelState = "champion"
	Archived  ModelState = "archived"
	Rejected  ModelState = "rejected"
)

// PendingTraining is training that was asked for and waits.
type PendingTraining struct {
	Trigger string     `json:"trigger"`
	Reason  string     `json:"reason"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"`
}

// DriftRow is the newest drift check.
type DriftRow struct {
	Drifted bool      `json:"drifted"`
	Action  string    `json:"action,omitempty"`
	Version int       `json:"version"`
	Rows    int64     `json:"rows"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// ServedRow sums up the predictions.
type ServedRow struct {
	Rows    int64      `json:"rows"`
	Dropped int64      `json:"dropped,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
	Traffic []Traffic  `json:"traffic,omitempty"`
}

// Traffic is what one version has answered.
type Traffic struct {
	Version  int   `json:"version"`
	Requests int64 `json:"requests"`
	Rows     int64 `json:"rows"`
	Errors   int64 `json:"errors"`
}

// DatasetRow is one snapshot.
type DatasetRow struct {
	Pipeline   string           `json:"pipeline"`
	Snapshot   string           `json:"snapshot"`
	Partitions int              `json:"partitions"`
	Rows       int64            `json:"rows"`
	Warnings   []events.Problem `json:"warnings,omitempty"`
	// SetAside is how many rows were left out of the partitions; of the current
	// snapshot only.
	SetAside int64 `json:"setAside,omitempty"`
	// Current marks the dataset's current snapshot.
	Current bool      `json:"current,omitempty"`
	Created time.Time `json:"created"`
	Event   string    `json:"event"`
}

// SetAsideRow is one upload that has rows set aside.
type SetAsideRow struct {
	Pipeline string    `json:"pipeline"`
	Upload   string    `json:"upload"`
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
	Time     time.Time `json:"time"`
}

// ReingestRow is how far the reading of kept uploads again has come.
type ReingestRow struct {
	// Files and Bytes are how much there was to read when it began.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Done uploads were read, Rejected of them did not become a partition. It has
	// ended when none is Left.
	Done     int       `json:"done"`
	Rejected int       `json:"rejected,omitempty"`
	Left     int       `json:"left"`
	Note     string    `json:"note,omitempty"`
	Started  time.Time `json:"started"`
	Changed  time.Time `json:"changed"`
}

// ReingestPlan is what a reingest would read.
type ReingestPlan struct {
	Pipeline string `json:"pipeline"`
	Files    int    `json:"files"`
	// Bytes is as far as sizes are known.
	Bytes int64 `json:"bytes"`
	// Uploads are the names of the first 100.
	Uploads []string `json:"uploads,omitempty"`
	// Reingest is the one under way, which no other may join.
	Reingest *ReingestRow `json:"reingest,omitempty"`
}

// RunRow is one training run.
type RunRow struct {
	Pipeline string             `json:"pipeline"`
	Run      string             `json:"run"`
	Status   RunStatus          `json:"status"`
	Trigger  string             `json:"trigger"`
	Reason   string             `json:"reason,omitempty"`
	Snapshot string             `json:"snapshot"`
	Rows     int64              `json:"trainRows"`
	Holdout  int64              `json:"holdoutRows"`
	Step     int64              `json:"step,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Version  int                `json:"version,omitempty"`
	Attempts int                `json:"attempts,omitempty"`
	Seconds  float64            `json:"seconds,omitempty"`
	Failure  string             `json:"failure,omitempty"`
	LogTail  string             `json:"logTail,omitempty"`
	// Warnings are what makes a judgement on the hold-out doubtful.
	Warnings []events.Problem `json:"warnings,omitempty"`
	Started  time.Time        `json:"started"`
	Ended    *time.Time       `json:"ended,omitempty"`
}

// ModelRow is one version.
type ModelRow struct {
	Pipeline string     `json:"pipeline"`
	Version  int        `json:"version"`
	State    ModelState `json:"state"`
	Run      string     `json:"run"`
	Name     string     `json:"name,omitempty"`
	Snapshot string     `json:"snapshot"`
	// Metrics are those of the last evaluation, or the trainer's before it.
	Metrics map[string]float64 `json:"metrics"`
	// Reason is that of the last evaluation.
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created"`
}

// RouteRow is how a pipeline's traffic is split between versions.
type RouteRow struct {
	Pipeline string          `json:"pipeline"`
	Champion int             `json:"champion"`
	Weights  []events.Weight `json:"weights"`
	Rollout  *RolloutRow     `json:"rollout,omitempty"`
	Changed  *time.Time      `json:"changed,omitempty"`
}

// ScheduleRow is a schedule of a pipeline.
type ScheduleRow struct {
	Pipeline string `json:"pipeline"`
	Schedule string `json:"schedule"`
	Cron     string `json:"cron"`
	Zone     string `json:"zone"`
	Do       string `json:"do"`
	// Since is when it was configured as it is.
	Since time.Time `json:"since"`
	// Last is the newest due time that was noticed.
	Last *time.Time `json:"last,omitempty"`
	// Next are the next five due times, in its zone.
	Next []time.Time `json:"next"`
}

// RolloutRow is the rollout under way.
type RolloutRow struct {
	Version  int       `json:"version"`
	Previous int       `json:"previous,omitempty"`
	Strategy string    `json:"strategy"`
	Steps    []float64 `json:"steps,omitempty"`
	Step     int       `json:"step"`
	// Waiting means that the rollout needs a person's approval to continue.
	Waiting  bool      `json:"waiting,omitempty"`
	Began    time.Time `json:"began"`
	Requests int64     `json:"requests"`
	Errors   int64     `json:"errors"`
}

// DeadLetterRow is an event that a function gave up.
type DeadLetterRow struct {
	Pipeline string    `json:"pipeline"`
	ID       string    `json:"id"`
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	Subject  string    `json:"subject,omitempty"`
	Function string    `json:"function"`
	Attempts int       `json:"attempts"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
}

// DeadLetter is a dead letter with the event that was given up.
type DeadLetter struct {
	DeadLetterRow
	// First and Last are when the event was tried first and last.
	First string `json:"first"`
	Last  string `json:"last"`
	// Rejected means that the function refused the event rather than failed.
	Rejected bool            `json:"rejected,omitempty"`
	Original events.Envelope `json:"original"`
}
