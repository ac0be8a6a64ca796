// Package job makes the Kubernetes Job of a run and tells from its status how
// the run ended.
//
// The user's image runs as it is. An init container copies the runner into it;
// a native sidecar, which alone has the credentials, fetches the train part
// before the trainer starts, uploads what it leaves and announces the end. The
// runner ends only after that has been done, since Kubernetes ends a sidecar
// with the main container. The pod runs as uid 65532 without rights and
// without a token.
//
// It is a module of its own, so that nobody but the launcher of Jobs links the
// Kubernetes client.
//
// A Job's name is made of the run, so that a second launch finds the first.
// What the sidecar cannot say, since its pod died without a word, Ended reads
// from the Job and its pods.
package job
