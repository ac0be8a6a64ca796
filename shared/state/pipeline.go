package state

import (
	"slices"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
)

// Pipeline is everything that is known of one pipeline.
type Pipeline struct {
	Name string `json:"name"`
	// Config is the configuration that rules, nil before the first one.
	Config *config.Pipeline `json:"config,omitempty"`
	// Configured says where the configuration came from.
	Configured Configured `json:"configured,omitzero"`
	// Objects are the objects that were seen, by bucket and key (Object.Name).
	Objects map[string]*Object `json:"objects,omitempty"`
	// Uploads counts the objects ever seen; it orders them.
	Uploads int     `json:"uploads,omitempty"`
	Dataset Dataset `json:"dataset,omitzero"`
	// Labels are the label files that were ingested, oldest first.
	Labels []*Labels `json:"labels,omitempty"`
	// Runs, oldest first.
	Runs []*Run `json:"runs,omitempty"`
	// Wish is training that is asked for and waits, nil if none does.
	Wish *Wish `json:"wish,omitempty"`
	// Models by version: Models[0] is version 1.
	Models []*Model `json:"models,omitempty"`
	Route  Route    `json:"route,omitzero"`
	// Rollout is the rollout under way, nil if none is.
	Rollout     *Rollout    `json:"rollout,omitempty"`
	Predictions Predictions `json:"predictions,omitzero"`
	Drift       Drift       `json:"drift,omitzero"`
	// DeadLetters that nobody has sent again or dropped, oldest first.
	DeadLetters []*DeadLetter `json:"deadLetters,omitempty"`
}

// Configured says which configuration rules and since when.
type Configured struct {
	Digest string     `json:"digest"`
	Bundle events.Ref `json:"bundle"`
	Dir    string     `json:"dir,omitempty"`
	Commit string     `json:"commit,omitempty"`
	Time   time.Time  `json:"time"`
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
	// Event is the id of the newest upload or removal of the key. A handling
	// of an older one has been superseded.
	Event  string       `json:"event"`
	Status ObjectStatus `json:"status"`
	// Before is what had become of the bytes before, while those of the newest
	// upload are still on their way, or since the object was removed.
	Before ObjectStatus `json:"before,omitempty"`
	// Content is the digest of the bytes that were last ingested or rejected,
	// Config of the configuration that ruled then. Both are forgotten when the
	// object is removed.
	Content string `json:"content,omitempty"`
	Config  string `json:"config,omitempty"`
	// Partition is the digest of the newest partition made of it.
	Partition string `json:"partition,omitempty"`
	// Reason is the first problem of a rejected one.
	Reason string    `json:"reason,omitempty"`
	Time   time.Time `json:"time"`
}

// Dataset is the pipeline's training data: the current snapshot.
type Dataset struct {
	// Snapshot is the digest of the current snapshot, empty before the first.
	Snapshot string     `json:"snapshot,omitempty"`
	Manifest events.Ref `json:"manifest,omitzero"`
	Profile  events.Ref `json:"profile,omitzero"`
	Rows     int64      `json:"rows,omitempty"`
	Time     time.Time  `json:"time,omitzero"`
	// Event is the id of the event that made the snapshot.
	Event string `json:"event,omitempty"`
	// Partitions are the valid partitions in order.
	Partitions []*Partition `json:"partitions,omitempty"`
	// NewRows and NewPartitions arrived since a run on the newest snapshot
	// started; Added is when the last of them did.
	NewRows       int64     `json:"newRows,omitempty"`
	NewPartitions int       `json:"newPartitions,omitempty"`
	Added         time.Time `json:"added,omitzero"`
	// Snapshots are those before and the current one, oldest first, at most
	// MaxSnapshots of them.
	Snapshots []*Snapshot `json:"snapshots,omitempty"`
}

// Partition is one valid member of the dataset.
type Partition struct {
	events.DatasetPartition
	Order int       `json:"order"`
	Time  time.Time `json:"time"`
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

// RunStatus is how far a run has come.
type RunStatus string

// What becomes of a run.
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
	// Step and Metrics are the newest the trainer told.
	Step     int64              `json:"step,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Attempts int                `json:"attempts,omitempty"`
	Seconds  float64            `json:"seconds,omitempty"`
	Log      events.Ref         `json:"log,omitzero"`
	// Version is the model that came of it, 0 if none.
	Version int `json:"version,omitempty"`
	// Failure is the reason in words, LogTail the last lines of the log.
	Failure string `json:"failure,omitempty"`
	LogTail string `json:"logTail,omitempty"`
	// Event is the id of the event that started it.
	Event string `json:"event"`
}

// Wish is training that was asked for and waits for data, or for a pause.
type Wish struct {
	Trigger string `json:"trigger"`
	Reason  string `json:"reason"`
	// Because are the ids of the events that led to it.
	Because []string  `json:"because,omitempty"`
	Since   time.Time `json:"since"`
	// Until is when it is looked at again, zero if the next snapshot decides.
	Until time.Time `json:"until,omitzero"`
}

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

// Model is one version. Versions are numbered by their order in the log.
type Model struct {
	Version int        `json:"version"`
	State   ModelState `json:"state"`
	// Run is the run it came of, empty for a registered model; Name is what
	// a registered model was called.
	Run      string       `json:"run,omitempty"`
	Name     string       `json:"name,omitempty"`
	Snapshot string       `json:"snapshot,omitempty"`
	Model    events.Model `json:"model"`
	// Approved says that its last evaluation approved it, Served that it has
	// been the champion.
	Approved bool `json:"approved,omitempty"`
	Served   bool `json:"served,omitempty"`
	// Evaluation is the last one, without its slices (the report has them).
	Evaluation *events.Evaluation `json:"evaluation,omitempty"`
	Created    time.Time          `json:"created"`
	// Event is the id of the event that made the version.
	Event string `json:"event"`
}

// Route is where requests go.
type Route struct {
	// Weights sum to 100; empty before the first promotion.
	Weights []events.Weight `json:"weights,omitempty"`
	// Champion is the version that serves, 0 before the first promotion.
	Champion int `json:"champion,omitempty"`
	// Champions are those before, newest last: where a rollback goes.
	Champions []int     `json:"champions,omitempty"`
	Changed   time.Time `json:"changed,omitzero"`
}

// Percent is a version's share of the traffic.
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
	// Waiting says that a person's yes is waited for.
	Waiting bool `json:"waiting,omitempty"`
	// Began is when the step began; what follows counts since then.
	Began    time.Time `json:"began"`
	Requests int64     `json:"requests,omitempty"`
	Errors   int64     `json:"errors,omitempty"`
	// Latency counts the canary's requests by events.LatencyBoundsMs.
	Latency []int64 `json:"latency,omitempty"`
}

// Predictions sums up what was served.
type Predictions struct {
	Batches int64     `json:"batches,omitempty"`
	Rows    int64     `json:"rows,omitempty"`
	Dropped int64     `json:"dropped,omitempty"`
	Last    time.Time `json:"last,omitzero"`
	// Traffic is by version, for all time.
	Traffic []Traffic `json:"traffic,omitempty"`
	// Unchecked are the batches that came since the last drift check, oldest
	// first, at most MaxUnchecked of the newest.
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
	// Detected is when drift was last announced: the cooldown counts from it.
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

// How much of the past a state keeps; the log keeps all of it.
const (
	MaxSnapshots = 200
	MaxChecks    = 100
	MaxUnchecked = 2000
	MaxLabels    = 500
)

// New is the state of a pipeline of which nothing is known.
func New(name string) *Pipeline { return &Pipeline{Name: name} }

// Partition finds the member that was made of the object of that name
// (Object.Name), nil if there is none.
func (d *Dataset) Partition(object string) *Partition {
	for _, m := range d.Partitions {
		if m.Object.Name() == object {
			return m
		}
	}
	return nil
}

// Run finds a run by its id, nil if there is none.
func (p *Pipeline) Run(id string) *Run {
	for _, r := range slices.Backward(p.Runs) {
		if r.Run == id {
			return r
		}
	}
	return nil
}

// RunByKey finds a run by its key, nil if there is none.
func (p *Pipeline) RunByKey(key string) *Run {
	for _, r := range slices.Backward(p.Runs) {
		if r.Key == key {
			return r
		}
	}
	return nil
}

// Model finds a version, nil if there is none.
func (p *Pipeline) Model(version int) *Model {
	if version < 1 || version > len(p.Models) {
		return nil
	}
	return p.Models[version-1]
}

// ModelByRun finds the version that came of a run, nil if none did.
func (p *Pipeline) ModelByRun(run string) *Model {
	for _, m := range slices.Backward(p.Models) {
		if m.Run == run && run != "" {
			return m
		}
	}
	return nil
}

// ModelByEvent finds the version that an event made, nil if none did.
func (p *Pipeline) ModelByEvent(id string) *Model {
	for _, m := range slices.Backward(p.Models) {
		if m.Event == id {
			return m
		}
	}
	return nil
}

// ChampionModel is the version that serves, nil before the first promotion.
func (p *Pipeline) ChampionModel() *Model { return p.Model(p.Route.Champion) }
