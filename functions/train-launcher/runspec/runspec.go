// Package runspec is what crosses between the launcher and a run on a cluster:
// what the run has to do, and what the cluster reports of it.
package runspec

import (
	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
)

// Spec is what a run has to do. It is kept in the artifact store, and the pod
// gets its reference. The same run always has the same spec.
type Spec struct {
	Pipeline string `json:"pipeline"`
	// Started is the training.started that the run's events follow from.
	Started events.Header `json:"started"`
	// Job is the runner's, without Data: the sidecar sets the paths of the files
	// in the pod.
	Job  runner.Job    `json:"job"`
	Data []events.File `json:"data"`
}

// Max bounds a spec's size in bytes: a pipeline and a hundred thousand files.
const Max = 64 << 20

// Run is a run to launch.
type Run struct {
	Pipeline, Run, Key string
	// Image is the user's, by digest unless tags are trusted.
	Image string
	// Train is the pipeline's section train at the time the run was started.
	Train *config.Train
	// Spec is where the run's Spec is kept, as JSON.
	Spec events.Ref
}

// Status is how far a run is according to the cluster.
type Status struct {
	// Found is false if the cluster does not have the run: it was never launched,
	// or it was deleted.
	Found bool
	// Begun says that a pod is scheduled, has its images and runs.
	Begun bool
	// End is set once the run has ended.
	End *End
}

// End is how a run ended according to the cluster.
type End struct {
	OK bool
	// Reason is one sentence, Hint what to do about it; empty when OK.
	Reason, Hint string
	// LogTail is the end of the log of the failed container if it is one of
	// ours.
	LogTail string
	// ExitCode is the trainer's, if it ended by itself.
	ExitCode int
	// Attempts counts the pods.
	Attempts int
	// Trying says that the cluster would retry: the run has to be removed.
	Trying bool
}

// Refused says that a run cannot be launched as the pipeline's file describes it.
type Refused struct{ Reason, Hint string }

func (r *Refused) Error() string { return r.Reason }
