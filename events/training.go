package events

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// TrainingRequested asks for a run. A person sends it (`millrace retrain`), or
// a program through the gateway.
type TrainingRequested struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Params replace the pipeline's train.params one by one.
	Params map[string]any `json:"params,omitempty"`
	// Snapshot trains on an earlier snapshot; the newest by default.
	Snapshot string `json:"snapshot,omitempty"`
}

func (TrainingRequested) EventType() string    { return "dev.millrace.training.requested.v1" }
func (TrainingRequested) EventSubject() string { return "training" }
func (d TrainingRequested) Validate() error    { return nil }

// TrainingStarted says that a run was launched. train-launcher sends it, once
// per run key.
type TrainingStarted struct {
	// Run is the run's id, the beginning of its key.
	Run string `json:"run"`
	// Key is the digest of config, partitions, parameters, trainer code and the
	// rule of the split.
	Key string `json:"key"`
	// Trigger is why: upload, drift, schedule, request or rejection.
	Trigger string `json:"trigger"`
	// Reason is the trigger in one sentence.
	Reason   string `json:"reason"`
	Snapshot string `json:"snapshot"`
	// Partitions of the snapshot that the run uses, after the window.
	Partitions int    `json:"partitions"`
	Config     string `json:"config"`
	// Code is the digest of the trainer's files, or the image's.
	Code   string         `json:"code"`
	Params map[string]any `json:"params,omitempty"`
	// Train and Holdout are the two sides of the split. The hold-out is one file
	// of canonical Parquet; Train is a manifest, JSON of []File, canonical
	// Parquet each, so that what runs have in common is kept once.
	Train       Ref   `json:"train"`
	TrainRows   int64 `json:"trainRows"`
	Holdout     Ref   `json:"holdout"`
	HoldoutRows int64 `json:"holdoutRows"`
	// Superseded is how many rows of the partitions are on neither side because a
	// newer row has the same data.key.
	Superseded int64 `json:"superseded,omitempty"`
	// Profile is that of the rows the model trains on, the reference for drift.
	Profile Ref `json:"profile"`
	// Runtime is process, job or trainjob.
	Runtime string `json:"runtime"`
	// Warnings are what makes a judgement on the hold-out doubtful: it is far
	// from its fraction ("fraction"), so few different rows that whole kinds are
	// on one side ("groups"), a side has one value of the label ("classes"), most
	// held-out rows have a twin among those trained on ("twins"), or rows without
	// a time are in neither part ("undated"); and that partitions were read under
	// an earlier contract ("contract").
	Warnings []Problem `json:"warnings,omitempty"`
	// Causes are ids of events that led here beside the handled one.
	Causes []string `json:"because,omitempty"`
}

// RunFunction is the function under which what happens to a run stands in the
// log, no matter who emits it.
const RunFunction = "train-launcher"

func (TrainingStarted) EventType() string      { return "dev.millrace.training.started.v1" }
func (d TrainingStarted) EventSubject() string { return "run/" + d.Run }
func (d TrainingStarted) Because() []string    { return d.Causes }
func (d TrainingStarted) Attributes() map[string]string {
	return map[string]string{"run": d.Run, "trigger": d.Trigger}
}

// Origin makes a run key start once.
func (d TrainingStarted) Origin() (function, cause string) {
	return RunFunction, Cause("run", d.Key)
}
func (d TrainingStarted) Validate() error {
	var m mistakes
	m.required("run", d.Run)
	m.required("key", d.Key)
	m.required("snapshot", d.Snapshot)
	m.ref("train", d.Train)
	m.ref("holdout", d.Holdout)
	return m.err()
}

// TrainingProgressed carries what the trainer wrote to MILLRACE_METRICS. The
// run's runner sends it.
type TrainingProgressed struct {
	Run     string             `json:"run"`
	Step    int64              `json:"step"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

func (TrainingProgressed) EventType() string      { return "dev.millrace.training.progressed.v1" }
func (d TrainingProgressed) EventSubject() string { return "run/" + d.Run }

// Origin makes a step of a run progress once.
func (d TrainingProgressed) Origin() (function, cause string) {
	return RunFunction, Cause("run-step", d.Run, itoa(d.Step))
}
func (d TrainingProgressed) Validate() error {
	var m mistakes
	m.required("run", d.Run)
	return m.err()
}

// File is one file that a run left beside its model.
type File struct {
	Name string `json:"name"`
	Ref
}

// Model is a model's bytes: model.onnx, and its external-data files if it has
// any. Together they have one digest.
type Model struct {
	// Format is onnx.
	Format string `json:"format"`
	Digest string `json:"digest"`
	Files  []File `json:"files"`
}

// NewModel is the model that the files are together. One file's digest is the
// model's; that of several is over their names and digests, sorted by name.
func NewModel(files []File) Model {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	m := Model{Format: "onnx", Files: files}
	if len(files) == 1 {
		m.Digest = files[0].Digest
		return m
	}
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d:%s %s\n", len(f.Name), f.Name, f.Digest)
	}
	m.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return m
}

func (d Model) validate(m *mistakes) {
	m.add(d.Format == "onnx", "model.format %q is not onnx", d.Format)
	m.required("model.digest", d.Digest)
	m.add(len(d.Files) > 0, "model.files is empty")
	for _, f := range d.Files {
		m.ref("model.files "+f.Name, f.Ref)
	}
}

// TrainingCompleted says that a run has ended with a model, which is the next
// version from now on. The run's runner emits it, or train-launcher for
// it: the first end of a run wins.
type TrainingCompleted struct {
	Run   string `json:"run"`
	Model Model  `json:"model"`
	// Files is everything else the trainer left in its output folder.
	Files []File `json:"files,omitempty"`
	// Log is the trainer's output.
	Log Ref `json:"log,omitzero"`
	// Metrics are the last values the trainer wrote.
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Attempts int                `json:"attempts"`
	Seconds  float64            `json:"seconds"`
}

func (TrainingCompleted) EventType() string      { return "dev.millrace.training.completed.v1" }
func (d TrainingCompleted) EventSubject() string { return "run/" + d.Run }
func (d TrainingCompleted) Attributes() map[string]string {
	return map[string]string{"run": d.Run}
}

// Origin makes a run end once.
func (d TrainingCompleted) Origin() (function, cause string) {
	return RunFunction, Cause("run-end", d.Run)
}
func (d TrainingCompleted) Validate() error {
	var m mistakes
	m.required("run", d.Run)
	d.Model.validate(&m)
	return m.err()
}

// TrainingFailed says that a run has ended without a usable model, with the
// reason in words and the last lines of its log.
type TrainingFailed struct {
	Run    string `json:"run"`
	Reason string `json:"reason"`
	// Hint says what to do about it.
	Hint     string  `json:"hint,omitempty"`
	LogTail  string  `json:"logTail,omitempty"`
	Log      Ref     `json:"log,omitzero"`
	ExitCode int     `json:"exitCode,omitempty"`
	Attempts int     `json:"attempts"`
	Seconds  float64 `json:"seconds"`
}

func (TrainingFailed) EventType() string      { return "dev.millrace.training.failed.v1" }
func (d TrainingFailed) EventSubject() string { return "run/" + d.Run }
func (d TrainingFailed) Attributes() map[string]string {
	return map[string]string{"run": d.Run}
}

// Origin makes a run end once.
func (d TrainingFailed) Origin() (function, cause string) {
	return RunFunction, Cause("run-end", d.Run)
}
func (d TrainingFailed) Validate() error {
	var m mistakes
	m.required("run", d.Run)
	m.required("reason", d.Reason)
	return m.err()
}

// TrainingSkipped says that nothing was trained, and why. train-launcher sends it.
type TrainingSkipped struct {
	Reason string `json:"reason"`
	// Trigger is what asked for training: upload, drift, schedule, request, rejection.
	Trigger string `json:"trigger"`
	// Run is the run of the same key whose result stands for this one.
	Run string `json:"run,omitempty"`
	// Waits says that the training stays pending: the next snapshot is trained
	// on, and the run names what led to it.
	Waits bool `json:"waits,omitempty"`
	// Until is when it is decided on again, RFC 3339, if a pause in the
	// uploads is waited for.
	Until string `json:"until,omitempty"`
	// Causes are ids of the events that asked for the training.
	Causes []string `json:"because,omitempty"`
}

func (TrainingSkipped) EventType() string    { return "dev.millrace.training.skipped.v1" }
func (TrainingSkipped) EventSubject() string { return "training" }
func (d TrainingSkipped) Because() []string  { return d.Causes }
func (d TrainingSkipped) Validate() error {
	var m mistakes
	m.required("reason", d.Reason)
	return m.err()
}
