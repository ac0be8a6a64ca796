// Package function is the runtime of Millrace's functions: it calls handlers,
// commits what they return, and does everything around that.
//
// A handler is a decision: an event and the state of its pipeline come in,
// what to emit goes out. It knows no bus, no HTTP and no broker:
//
//	func (f *F) Register(m *function.Mux) {
//		function.Handle(m, f.ingested, function.Guard("dataset"))
//	}
//
//	func (f *F) ingested(ctx context.Context, e events.Event[events.PartitionIngested], p *state.Pipeline) ([]events.Data, error)
//
// # Delivery
//
// Events come at least once, late, and in any order; a process may be killed at
// any point. The events that a handling emits are one commit, under a cause made
// of the handled event, which is acknowledged only after the commit: so the log
// refuses a second handling. A handler with an effect outside of the log must
// make it idempotent.
//
// # Outcomes
//
//	returned                JetStream                    HTTP
//	nil                     ack after the commit         204
//	function.Reject(err)    ack after the dead letter    204 after the dead letter
//	function.Later(d, err)  nak with delay, not counted  204 after event.deferred
//	any other error         nak with backoff, counted    500
//
// Attempts are counted before the handler runs, so that an event that kills
// the process ends as a dead letter too. Counting costs a write only from the
// second delivery on.
//
// When a process crashes, any of the events it was handling may be the cause,
// or none of them, as after a power failure. After two crashes in a row an
// event is therefore handled in isolation, and only a crash during that counts
// against it. This costs some speed after a crash, for the events that were in
// flight; without it a crash loop made dead letters of their neighbours.
//
// An orderly stop is not a crash: a handler that it interrupts takes its attempt
// back.
//
// # Push
//
// On Knative a broker pushes events. A push is a hint: the handler gets the
// event that is in the log at the sequence in the push. A push that the log does
// not confirm is refused (see Receiver).
package function
