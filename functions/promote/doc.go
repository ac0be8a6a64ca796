// Package promote moves traffic: it puts approved versions live, at once or in
// steps beside the champion, goes on when a step's evidence is in, and goes
// back when a guardrail breaks or a person asks.
//
// It hears model.approved, promotion.approved, rollback.requested,
// predictions.logged and schedule.ticked, and announces rollout.started,
// rollout.advanced, rollout.completed with model.promoted, and rollout.aborted
// with model.rolledback. Every decision hangs on the rollout as the log has it
// and is guarded by that noun, so that two events that meet decide one after
// the other. A second delivery changes nothing. Time is the events' time.
//
// # What serves
//
// Every change of a route is an event of its own, which promote hears too: on
// a cluster, what serves there follows it (see Follow), and elsewhere inference
// does so by itself.
//
// # The way of a version
//
// The first approved version of a pipeline goes live at once. After that the
// pipeline's strategy rules: direct moves all traffic in one commit; canary
// moves the per cents of the steps, and the step that reads 100 is the
// promotion. With approval required no traffic moves, at the start and after
// each step, until a person says yes (promotion.approved). A yes outranks
// missing evidence, and brings an archived version back; it does not outrank a
// gate: a rejected version stays out.
//
// One rollout is under way at a time. A version that is approved meanwhile
// waits, and the commit that ends the rollout starts the newest that waits: no
// event is needed in between that could be lost, and no moment is visible in
// which nothing is under way. A rollout that stands still (before its first
// yes, or held at its deadline) gives way to a newer version at once.
//
// # Evidence
//
// A step goes on when the canary has answered advance.requests. Guardrails are
// looked at before that, with each batch of the prediction log. Each is a
// bound on a share of requests: failed ones for error_rate, slow ones for a
// latency (p95 <= 200 ms says that at most 5 % take longer than 200 ms). It is
// broken when the share exceeds the bound beyond chance: the lower end of its
// 95 % Wilson interval lies above the bound, after 50 requests, or after 10
// that fell on the wrong side.
//
// # Deadline
//
// When advance.within is over without the evidence, on_deadline rules. hold
// says so once (rollout.advanced that waits) and stays where it is: evidence
// that comes later, a person, or a newer version ends it. rollback goes back.
// promote takes the next step without the evidence.
package promote
