// Package job runs trainings on Kubernetes: as Jobs (job.go), or as
// TrainJobs of Kubeflow Trainer where several nodes train one model
// (trainjob.go). It derives the result of runs that could not report it
// themselves (end.go).
//
// The user's image runs as it is. An init container copies the runner into it;
// a native sidecar, which alone has the credentials, fetches the train part,
// uploads what the trainer leaves and emits the end. The runner ends only
// after that, since Kubernetes ends a sidecar with the main
// container. The pod runs as uid 65532 without rights and without a token.
//
// # Credentials
//
// Each run has a Secret of its own, named after it and owned by its object: the object store's credentials, and the NATS user of
// runs, which reads nothing (deploy/knative/account). The pod waits until it exists.
//
// # Attempts
//
// Within a pod the runner retries as it does on a laptop (train.retries). A pod
// lost to OOM or node failure is replaced, up to train.retries; evicted or drained
// pods do not count. A run that has reported its failure ends with
// runner.ExitReported, which ends the Job too.
//
// # Names
//
// Objects are named after the run, so that a second launch finds those of the
// first. An object of that name with another run's key is an error.
package job
