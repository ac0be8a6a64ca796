// Package outcome makes events of a run: of what its trainer tells while it
// runs, and of what is left when it has ended. The launcher uses it for runs on
// its own machine, the sidecar of a pod for the pod's.
package outcome
