// Package failpoint ends the process at a named point, as kill -9 would, so
// that a test can see what a crash leaves behind at the places where it hurts
// most: before and after each append, each artifact, each launch, each
// acknowledgement.
//
// Without the build tag failpoints, a call does nothing: it is inlined away. With
// it, MILLRACE_FAILPOINT=name:count ends the process with SIGKILL when the
// point is passed for the count-th time, and MILLRACE_FAILPOINT_MARK names a
// file that is written first. A process that finds this file does not end, so
// that a point kills once although child processes inherit the setting.
//
// With the tag, MILLRACE_FAILPOINT_WITHOUT=promise also makes the process break
// a promise: so the crash test proves that it would notice. Without the tag, all
// promises are kept and the check is inlined away.
package failpoint

// Promise is something that the runtime and the log promise.
type Promise string

// The promises that a test can have broken.
const (
	// Guard: a decision is committed only if the state that it depends on is
	// still the newest.
	Guard Promise = "guard"
	// Record: an event is handled once by each function.
	Record Promise = "record"
	// AckLast: an event is acknowledged after it was handled, not before.
	AckLast Promise = "ack-last"
)
