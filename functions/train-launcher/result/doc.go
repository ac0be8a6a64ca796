// Package result makes the events of a run: progress from the metrics that the
// trainer writes, and the end from what it leaves. The launcher uses it for runs
// on its own machine, the sidecar for runs in a pod.
package result
