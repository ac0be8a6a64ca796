// Package trainlauncher is the function train-launcher: it decides when a
// pipeline's model is trained, cuts the data, launches the trainer and tells
// how it ended.
//
// The decision (decide.go) is a pure function of an event and a state. What it
// wants becomes training.started, under a cause made of the run's key: so a key
// starts once, whoever decides it how often. Nothing runs before that event is
// in the log. Then the function hears its own announcement, follows the run
// (follow.go), and at its start and from time to time it takes up every run
// that the log has as started and nobody follows; so a crash at any point
// delays a run and does not lose it.
//
// On a laptop a run is carried out by a process of its own (package runner)
// that outlives this one. Launching it is idempotent, and so is collecting what
// it left (collect.go): training.completed and training.failed share one cause,
// of which the first wins.
//
// On a cluster (cluster.go) a run is a Job, or a TrainJob of several pods
// (package job). Its pod has the same runner, and beside it a sidecar (package
// sidecar) that tells and keeps what this process would; so the function may be
// at zero meanwhile. What a pod could not tell, since it died, is told from what
// Kubernetes knows: an ApiServerSource says that a Job has changed, a tick that
// time has passed, and the function looks. Decide and cut do not know the
// difference.
//
// One run of a pipeline is under way at a time (turn.go). What asks for training meanwhile is kept: as a wish in the
// state, or, when it is a person's request, by delivering it again later.
package trainlauncher
