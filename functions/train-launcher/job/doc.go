// Package job has runs carried out on Kubernetes: as Jobs (job.go), or as
// TrainJobs of Kubeflow Trainer where several nodes train one model
// (trainjob.go). It tells from what the cluster says how a run ended that could
// not say so itself (end.go).
//
// The user's image runs as it is. An init container copies the runner into it;
// a native sidecar, which alone has the credentials, fetches the train part,
// uploads what the trainer leaves and announces the end. The runner ends only
// after that has been done, since Kubernetes ends a sidecar with the main
// container. The pod runs as uid 65532 without rights and without a token.
//
// # Attempts
//
// Within a pod the runner tries again as it does anywhere (train.retries). A
// pod that dies without a word, of memory or with its node, is followed by
// another, as often as that, and one that was evicted or drained without being
// counted. A run that has failed in words ends with runner.ExitTold, which ends
// the Job too.
//
// # Names
//
// What is made is named after the run, so that a second launch finds the
// first. What has the name and another run's key is an error.
package job
