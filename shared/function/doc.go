// Package function is the runtime of Millrace's functions: what a handler
// gets, what becomes of what it returns, and everything around it.
//
// A handler is a decision: an event and the state of its pipeline come in,
// what to announce goes out. It knows no bus, no HTTP and no broker:
//
//	func (f *F) Register(m *function.Mux) {
//		function.Handle(m, f.ingested, function.Guard("dataset"))
//	}
//
//	func (f *F) ingested(ctx context.Context, e events.Event[events.PartitionIngested], p *state.Pipeline) ([]events.Data, error)
//
// # Delivery
//
// Events come at least once, late, and in any order; a process may be killed
// at any point. What a handling announces is committed as one, under a cause
// made of the event, and an event is acknowledged only after that: so a second
// handling is refused by the log and has no effect. A handler that does
// something outside of the log must make that safe to do twice.
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
// When a process ends, any of the events it was handling may be why, or none:
// somebody pulled the plug. After two such ends in a row an event is therefore
// handled alone in its process, and only what ends the process then counts
// against it. We give up some speed after a crash, for the events that were
// under way; without it a crash loop made dead letters of its neighbours.
package function
