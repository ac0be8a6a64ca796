// Package order is what crosses between the launcher and a run on a cluster:
// what the run is to do, and what the cluster tells of it.
package order

import (
	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
)

// Order is what a run is to do. It lies in the artifact store; the pod is told
// its reference. The same run has the same order, whoever writes it.
type Order struct {
	Pipeline string `json:"pipeline"`
	// Started is the training.started that the run's events follow from.
	Started events.Header `json:"started"`
	// Job is the runner's, without Data: where the files lie in the pod is the
	// sidecar's to say.
	Job  runner.Job    `json:"job"`
	Data []events.File `json:"data"`
}

// Max bounds an order's bytes: a pipeline and a hundred thousand files.
const Max = 64 << 20

// Run is what a launcher is asked to have carried out.
type Run struct {
	Pipeline, Run, Key string
	// Image is the user's, by digest unless tags are trusted.
	Image string
	// Train is the pipeline's, as it ruled when the run was started.
	Train *config.Train
	// Order is where the run's order lies.
	Order events.Ref
}

// Status is how far a run is, as the cluster tells it.
type Status struct {
	// Found is false when the cluster knows nothing of the run: it was never
	// launched, or somebody deleted it.
	Found bool
	// Begun says that a pod has its images and its node, and works.
	Begun bool
	// End is set once there is nothing more to come.
	End *End
}

// End is how a run ended, as the cluster tells it.
type End struct {
	OK bool
	// Reason is one sentence, Hint what to do about it; empty when OK.
	Reason, Hint string
	// LogTail are the last lines of the container whose fault it was, when that
	// is none of the user's.
	LogTail string
	// ExitCode is the trainer's, if it ended by itself.
	ExitCode int
	// Attempts counts the pods.
	Attempts int
	// Trying says that the cluster would go on: what is left of the run has to
	// be removed.
	Trying bool
}

// Refused says that a run will never be launched as it is: what the pipeline's
// file asks for can't be had.
type Refused struct{ Reason, Hint string }

func (r *Refused) Error() string { return r.Reason }
