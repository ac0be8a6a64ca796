package state

import (
	"slices"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
)

// Pipeline is everything that is known about one pipeline.
type Pipeline struct {
	Name string `json:"name"`
	// Config is the current configuration, nil before the first one.
	Config *config.Pipeline `json:"config,omitempty"`
	// Configured says where the configuration came from.
	Configured Configured `json:"configured,omitzero"`
	// Objects are the objects that were seen, by bucket and key (Object.Name).
	Objects map[string]*Object `json:"objects,omitempty"`
	// Uploads counts the objects ever seen; it orders them.
	Uploads int `json:"uploads,omitempty"`
	// Arrivals counts all uploads, also those that replace others.
	Arrivals int     `json:"arrivals,omitempty"`
	Dataset  Dataset `json:"dataset,omitzero"`
	// Contracts are the digests of the contracts that were in force, by the digest
	// of their configuration.
	Contracts map[string]string `json:"contracts,omitempty"`
	// Reingest is the newest reading of kept uploads again, nil before the first.
	Reingest *Reingest `json:"reingest,omitempty"`
	// Labels are the label files that were ingested, oldest first.
	Labels []*Labels `json:"labels,omitempty"`
	// Runs, oldest first.
	Runs []*Run `json:"runs,omitempty"`
	// PendingTraining is training that was asked for and waits, nil if there is
	// none.
	PendingTraining *PendingTraining `json:"pendingTraining,omitempty"`
	// Models by version: Models[0] is version 1.
	Models []*Model `json:"models,omitempty"`
	Route  Route    `json:"route,omitzero"`
	// Rollout is the rollout under way, nil if none is.
	Rollout     *Rollout    `json:"rollout,omitempty"`
	Predictions Predictions `json:"predictions,omitzero"`
	Drift       Drift       `json:"drift,omitzero"`
	// Schedules are those of the configuration, by name.
	Schedules map[string]Schedule `json:"schedules,omitempty"`
	// Swept is the newest due time of a sweep of the buckets.
	Swept time.Time `json:"swept,omitzero"`
	// DeadLetters are the open ones (neither sent again nor dropped), oldest first.
	DeadLetters []*DeadLetter `json:"deadLetters,omitempty"`
}

// Configured says which configuration rules and since when.
type Configured struct {
	Digest string     `json:"digest"`
	Bundle events.Ref `json:"bundle"`
	Dir    string     `json:"dir,omitempty"`
	Commit string     `json:"commit,omitempty"`
	Time   time.Time  `json:"time"`
	// Imported says that the configuration came with an import: nobody has
	// configured the pipeline here, and its trainer does not run.
	Imported bool `json:"imported,omitempty"`
}

// ObjectStatus is how far an object has come.
type ObjectStatus string

// What becomes of an object.
const (
	ObjectUploaded ObjectStatus = "uploaded"
	ObjectIngested ObjectStatus = "ingested"
	ObjectValid    ObjectStatus = "valid"
	ObjectRejected ObjectStatus = "rejected"
	ObjectLabels   ObjectStatus = "labels"
	ObjectRemoved  ObjectStatus = "removed"
)

// Object is the newest thing known of one key.
type Object struct {
	events.Object
	// Order is the place of the key's first upload among all keys; the
	// dataset's partitions stand in this order.
	Order int `json:"order"`
	// Arrival is the place of the key's newest upload among all uploads.
	Arrival int `json:"arrival,omitempty"`
	// Event is the id of the newest upload or removal of the key. A handling
	// of an older one has been superseded.
	Event  string       `json:"event"`
	Status ObjectStatus `json:"status"`
	// Before is what had become of the bytes before, while those of the newest
	// upload are still on their way, or since the object was removed.
	Before ObjectStatus `json:"before,omitempty"`
	// Content is the digest of the bytes that were last ingested or rejected,
	// Config that of the configuration at that time. Both are forgotten when
	// the object is removed.
	Content string `json:"content,omitempty"`
	Config  string `json:"config,omitempty"`
	// Partition is the digest of the newest partition made from it.
	Partition string `json:"partition,omitempty"`
	// Kept is the bytes of the newest upload, zero if they are in a bucket of
	// somebody else.
	Kept events.Ref `json:"kept,omitzero"`
	// Reason is the first problem of a rejected one.
	Reason string `json:"reason,omitempty"`
	// SetAside is the rows that were left out of Partition, nil without any.
	SetAside *SetAside `json:"setAside,omitempty"`
	Time     time.Time `json:"time"`
}

// SetAside is rows of an object that do not fit the contract.
type SetAside struct {
	Rows int64      `json:"rows"`
	Data events.Ref `json:"data"`
}

// Dataset is the pipeline's training data: the current snapshot.
type Dataset struct {
	// Snapshot is the digest of the current snapshot, empty before the first.
	Snapshot string     `json:"snapshot,omitempty"`
	Manifest events.Ref `json:"manifest,omitzero"`
	Profile  events.Ref `json:"profile,omitzero"`
	// Index finds the partition that has a key or a whole row.
	Index events.Ref `json:"index,omitzero"`
	Rows  int64      `json:"rows,omitempty"`
	// Superseded is how many of the rows a newer one with the same data.key
	// supersedes.
	Superseded int64     `json:"superseded,omitempty"`
	Time       time.Time `json:"time,omitzero"`
	// Event is the id of the event that made the snapshot.
	Event string `json:"event,omitempty"`
	// Partitions are the valid partitions in order.
	Partitions []*Partition `json:"partitions,omitempty"`
	// NewRows and NewPartitions arrived since a run on the newest snapshot
	// started; Added is when the last of them did.
	NewRows       int64     `json:"newRows,omitempty"`
	NewPartitions int       `json:"newPartitions,omitempty"`
	Added         time.Time `json:"added,omitzero"`
	// Late is set from when dataset.late was emitted until the next
	// partition is added.
	Late *Late `json:"late,omitempty"`
	// Snapshots are those before and the current one, oldest first, at most
	// MaxSnapshots of them.
	Snapshots []*Snapshot `json:"snapshots,omitempty"`
}

// Late is a dataset that lacks the data of data.expect.
type Late struct {
	events.DatasetLate
	// Time is when it was emitted.
	Time time.Time `json:"time"`
}

// Partition is one valid member of the dataset.
type Partition struct {
	events.DatasetPartition
	// Config is the digest of the configuration that its object was read under.
	Config string    `json:"config,omitempty"`
	Order  int       `json:"order"`
	Time   time.Time `json:"time"`
}

// Snapshot is the dataset at one time.
type Snapshot struct {
	Digest     string           `json:"digest"`
	Partitions int              `json:"partitions"`
	Rows       int64            `json:"rows"`
	Manifest   events.Ref       `json:"manifest"`
	Profile    events.Ref       `json:"profile"`
	Warnings   []events.Problem `json:"warnings,omitempty"`
	Time       time.Time        `json:"time"`
	Event      string           `json:"event"`
}

// Labels is one ingested file of labels.
type Labels struct {
	Object    events.Object `json:"object"`
	Data      events.Ref    `json:"data"`
	Joined    events.Ref    `json:"joined,omitzero"`
	Rows      int64         `json:"rows"`
	Matched   int64         `json:"matched"`
	Unmatched int64         `json:"unmatched,omitempty"`
	Time      time.Time     `json:"time"`
}

// RunStatus is the status of a run.
type RunStatus string

// The statuses of a run.
const (
	RunStarted   RunStatus = "started"
	RunCompleted RunStatus = "completed"
	RunFailed    RunStatus = "failed"
)

// Run is one training.
type Run struct {
	events.TrainingStarted
	Status  RunStatus `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// Step and Metrics are the newest that the trainer reported.
	Step     int64              `json:"step,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Attempts int                `json:"attempts,omitempty"`
	Seconds  float64            `json:"seconds,omitempty"`
	Log      events.Ref         `json:"log,omitzero"`
	// Version is the model that it produced, 0 if it has none.
	Version int `json:"version,omitempty"`
	// Failure is the reason as a sentence, LogTail the last lines of the log.
	Failure string `json:"failure,omitempty"`
	LogTail string `json:"logTail,omitempty"`
	// Event is the id of the event that started it.
	Event string `json:"event"`
}

// PendingTraining is training that was requested and waits for data, for a
// pause in the uploads, or for the end of a run.
type PendingTraining struct {
	// Trigger is the strongest of those that requested it.
	Trigger string `json:"trigger"`
	// Reason says what it waits for.
	Reason string `json:"reason"`
	// Because are the ids of all events that requested it.
	Because []string  `json:"because,omitempty"`
	Since   time.Time `json:"since"`
	// Until is when it is reconsidered, zero if only with the next snapshot.
	Until time.Time `json:"until,omitzero"`
}

// ModelState is the state of a version.
type ModelState string

// The states of a version.
const (
	Candidate ModelState = "candidate"
	Canary    ModelState = "canary"
	Champion  ModelState = "champion"
	Archived  ModelState = "archived"
	Rejected  ModelState = "rejected"
)

// Model is one version. Versions are numbered by their order in the log.
type Model struct {
	Version int        `json:"version"`
	State   ModelState `json:"state"`
	// Run is the run that produced it, empty for a registered model; Name is
	// the name of a registered model.
	Run      string       `json:"run,omitempty"`
	Name     string       `json:"name,omitempty"`
	Snapshot string       `json:"snapshot,omitempty"`
	Model    events.Model `json:"model"`
	// Approved is true if its last evaluation approved it, Served if it has
	// been the champion.
	Approved bool `json:"approved,omitempty"`
	Served   bool `json:"served,omitempty"`
	// Evaluation is the last one, without its slices (the report has them).
	Evaluation *events.Evaluation `json:"evaluation,omitempty"`
	Created    time.Time          `json:"created"`
	// Event is the id of the event that created the version.
	Event string `json:"event"`
}

// Route is where requests go.
type Route struct {
	// Weights sum to 100; empty before the first promotion.
	Weights []events.Weight `json:"weights,omitempty"`
	// Champion is the version that serves, 0 before the first promotion.
	Champion int `json:"champion,omitempty"`
	// Champions are the former ones, newest last: the targets of a rollback.
	Champions []int     `json:"champions,omitempty"`
	Changed   time.Time `json:"changed,omitzero"`
}

// Percent returns a version's share of the traffic, in percent.
func (r Route) Percent(version int) float64 {
	for _, w := range r.Weights {
		if w.Version == version {
			return w.Percent
		}
	}
	return 0
}

// Rollout is a version on its way to all traffic.
type Rollout struct {
	events.RolloutStarted
	Step int `json:"step"`
	// Waiting is true while the rollout waits for a person's approval.
	Waiting bool `json:"waiting,omitempty"`
	// Began is when the step began; the fields below count from then.
	Began    time.Time `json:"began"`
	Requests int64     `json:"requests,omitempty"`
	Errors   int64     `json:"errors,omitempty"`
	// Latency counts the canary's requests by events.LatencyBoundsMs.
	Latency []int64 `json:"latency,omitempty"`
	// Champion and Canary are what both versions have answered since the rollout
	// had its first traffic, from the same batches, and Tests what that says about
	// the guardrails. A step does not reset them: the chance of a wrong abort is
	// that of the whole rollout.
	Champion Arm    `json:"champion,omitzero"`
	Canary   Arm    `json:"canary,omitzero"`
	Tests    []Test `json:"tests,omitempty"`
}

// Predictions summarizes what was served.
type Predictions struct {
	Batches int64     `json:"batches,omitempty"`
	Rows    int64     `json:"rows,omitempty"`
	Dropped int64     `json:"dropped,omitempty"`
	Last    time.Time `json:"last,omitzero"`
	// Traffic is by version, since the beginning.
	Traffic []Traffic `json:"traffic,omitempty"`
	// Unchecked are the batches since the last drift check, oldest first, at
	// most the newest MaxUnchecked.
	Unchecked     []*Batch `json:"unchecked,omitempty"`
	UncheckedRows int64    `json:"uncheckedRows,omitempty"`
}

// Traffic is what one version answered.
type Traffic struct {
	Version  int   `json:"version"`
	Requests int64 `json:"requests"`
	Rows     int64 `json:"rows"`
	Errors   int64 `json:"errors"`
}

// Batch is one batch of the prediction log.
type Batch struct {
	Ref      events.Ref `json:"ref"`
	Rows     int64      `json:"rows"`
	Versions []int      `json:"versions"`
	From     string     `json:"from"`
	To       string     `json:"to"`
	Event    string     `json:"event"`
}

// Drift is what the checks found.
type Drift struct {
	// Checks are the last MaxChecks, oldest first.
	Checks []*Check `json:"checks,omitempty"`
	// Detected is when drift was last emitted; the cooldown starts then.
	Detected time.Time `json:"detected,omitzero"`
}

// Check is one drift check.
type Check struct {
	events.DriftCheck
	Drifted bool      `json:"drifted"`
	Action  string    `json:"action,omitempty"`
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
}

// DeadLetter is an event that a function gave up.
type DeadLetter struct {
	ID       string    `json:"id"`
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	Subject  string    `json:"subject,omitempty"`
	Function string    `json:"function"`
	Attempts int       `json:"attempts"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
}

// Limits of the history in a state; the log keeps everything.
const (
	MaxSnapshots = 200
	MaxChecks    = 100
	MaxUnchecked = 2000
	MaxLabels    = 500
)

// New returns the empty state of a pipeline.
func New(name string) *Pipeline { return &Pipeline{Name: name} }

// Partition returns the member made from the object of that name (Object.Name),
// nil if the dataset has no such member.
func (d *Dataset) Partition(object string) *Partition {
	for _, m := range d.Partitions {
		if m.Object.Name() == object {
			return m
		}
	}
	return nil
}

// SetAside returns how many rows were set aside of how many objects whose
// partitions are in the dataset.
func (p *Pipeline) SetAside() (rows int64, objects int) {
	for _, m := range p.Dataset.Partitions {
		if o := p.Objects[m.Object.Name()]; o != nil && o.SetAside != nil && o.Partition == m.Data.Digest {
			rows += o.SetAside.Rows
			objects++
		}
	}
	return rows, objects
}

// Run returns the run with the id, nil if no run has it.
func (p *Pipeline) Run(id string) *Run {
	for _, r := range slices.Backward(p.Runs) {
		if r.Run == id {
			return r
		}
	}
	return nil
}

// RunByKey returns the newest run with the key, nil if no run has it.
func (p *Pipeline) RunByKey(key string) *Run {
	for _, r := range slices.Backward(p.Runs) {
		if r.Key == key {
			return r
		}
	}
	return nil
}

// Model returns a version, nil if it does not exist.
func (p *Pipeline) Model(version int) *Model {
	if version < 1 || version > len(p.Models) {
		return nil
	}
	return p.Models[version-1]
}

// ModelByRun returns the version that a run produced, nil if it produced no version.
func (p *Pipeline) ModelByRun(run string) *Model {
	for _, m := range slices.Backward(p.Models) {
		if m.Run == run && run != "" {
			return m
		}
	}
	return nil
}

// ModelByEvent returns the version that an event created, nil if it created no version.
func (p *Pipeline) ModelByEvent(id string) *Model {
	for _, m := range slices.Backward(p.Models) {
		if m.Event == id {
			return m
		}
	}
	return nil
}

// ChampionModel returns the version that serves, nil before the first promotion.
func (p *Pipeline) ChampionModel() *Model { return p.Model(p.Route.Champion) }
