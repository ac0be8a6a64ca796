// Package trainlauncher is the function train-launcher: it decides when a
// pipeline's model is trained, splits the data, launches the trainer and reports
// how it ended.
//
// The decision (decide.go) is a pure function of an event and a state. It becomes
// training.started, with a cause derived from the run's key: so a key starts once,
// however often and in however many processes it is decided. Nothing runs before
// that event is in the log. The function subscribes to its own event and follows
// the run (follow.go). At its start, and periodically, it also follows every
// started run of the log that has no follower; so a crash at any point delays a
// run and does not lose it.
//
// On a laptop a run is a process of its own (package runner) that outlives this
// one. Launching it is idempotent, and so is collecting what
// it left (collect.go): training.completed and training.failed share one cause:
// the first to be appended wins.
//
// On a cluster (cluster.go) a run is a Job, or a TrainJob of several pods
// (package job). Its pod has the same runner, and beside it a sidecar (package
// sidecar) that uploads and emits what this process would; so the function may
// scale to zero meanwhile. If a pod dies before it reports, the function derives
// the result from the Job and its pods, which it polls when an ApiServerSource
// reports a change of a Job and at every tick. The decision and the split are the
// same in both cases.
//
// One run of a pipeline is under way at a time (leases.go). Requests for
// training meanwhile are kept: as pending training in the state or, if it is a
// request, by delivering it again later. Pending training has one trigger, the
// strongest (request, drift, rejection, schedule, upload), and all causes.
package trainlauncher
