// Package promote moves traffic: it puts approved versions live, at once or in
// steps beside the champion, advances when a step has its evidence, and returns
// the traffic when a guardrail breaks or a person requests it.
//
// It subscribes to model.approved, promotion.approved, rollback.requested,
// predictions.logged and schedule.ticked, and emits rollout.started,
// rollout.advanced, rollout.completed with model.promoted, and rollout.aborted
// with model.rolledback. Every decision depends on the rollout in the log and
// is guarded by that noun, so that concurrent events are decided one after the
// other. A second delivery changes nothing. Time is the events' time.
//
// # What serves
//
// Every change of a route is an event that promote handles too: on a cluster it
// updates the serving objects (see Follow); elsewhere inference follows the
// route by itself.
//
// # The path of a version
//
// The first approved version of a pipeline goes live at once. After that the
// pipeline's strategy rules: direct moves all traffic in one commit; canary
// moves the per cents of the steps, and the step that reads 100 is the
// promotion. A version that reads other columns than the champion waits for a
// person before its first traffic, whatever the pipeline file says: requests
// have to carry these columns. With approval required no traffic moves, at the start and after
// each step, until a person approves (promotion.approved). An approval
// overrides missing evidence, and brings an archived version back; it does not
// override a gate: a rejected version stays out.
//
// One rollout is under way at a time. A version that is approved meanwhile
// waits, and the commit that ends the rollout starts the newest that waits: no
// event is needed in between that could be lost, and no moment is visible in
// which nothing is under way. A rollout that cannot proceed by itself (before
// its first approval, or held at its deadline) is replaced by a newer version
// at once.
//
// # Evidence
//
// Each batch of the prediction log is looked at, and the chance of ever
// aborting a canary that keeps all guardrails is at most promote.alpha for the
// whole rollout: the tests are e-processes (package sequential), which no step
// resets. A guardrail is a limit on a share of requests: failed ones for
// error_rate, slow ones for a latency (p95 <= 200 ms means that at most 5 %
// take longer than 200 ms). The champion is measured by the same limits in the
// same batches.
//
//   - min and max are broken when the share exceeds them beyond chance and the
//     canary is worse than the champion. If both versions break one, neither is
//     to blame: the rollout stays where it is and says so.
//   - max is also broken when the canary is worse than the champion beyond
//     chance, though below it: nine times the champion's errors are a reason to
//     stop. Write champion: {margin} to allow more than the champion has.
//   - champion: {margin} for error_rate and {ratio} for latencies compare with
//     the champion only.
//
// A step advances when it is shown that the canary keeps every guardrail, with
// the same confidence (advance.evidence: safe); with evidence: requests it also
// advances after advance.requests if no guardrail is broken. Without guardrails
// the requests alone count. We gave up to count only the requests: 500 of them
// without an error do not show that a rate is below 0.1 %.
//
// # Deadline
//
// When advance.within is over without the evidence, on_deadline applies. hold
// says so once (rollout.advanced that waits) and stays where it is: evidence
// that comes later, a person, or a newer version ends it. rollback returns the
// traffic. promote takes the next step without the evidence.
package promote
