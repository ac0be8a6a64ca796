// Package triggers holds the subscriptions: which function receives which events.
//
// The YAML files beside it are real Knative: one Trigger for each function
// that is woken by events, a PingSource for each schedule of the system, and
// one Trigger that leads everything else to the gateway. On a cluster they are
// applied as they are (kubectl apply -k triggers). On a laptop the same files
// are embedded, parsed and filtered here, so that a function receives the same
// events in both places.
//
// A filter sees attributes only, never data, and decides as Knative's does:
// exact compares text, case-sensitively, and is false when the attribute is
// missing; all, any and not nest. What Knative's webhook refuses, and what its
// broker skips with a warning, is an error of Load. So are the dialects that no
// trigger here uses (cesql, prefix, suffix, the older spec.filter): they would
// link a parser of CESQL into each function.
//
// Knative's own API types and filters would link client-go and 50 MB into
// each function. So the types stand here again, as small as they are needed,
// and the tests of deploy/e2e hold both implementations against each other.
//
// The inference service has no Trigger: each of its replicas follows the
// routes in the log, and a Trigger delivers to one of them.
package triggers
