// Package triggers says who hears what.
//
// The YAML files beside it are real Knative: one Trigger for each function
// that is woken by events, a PingSource for each schedule of the system, and
// one Trigger that leads everything else to the gateway. On a cluster they are
// applied as they are (kubectl apply -k triggers). On a laptop the same files
// are embedded, parsed and filtered here, so that a function hears the same
// events in both places.
//
// A filter sees attributes only, never data, and decides as Knative's does:
// exact, prefix and suffix compare text, case-sensitively, and are false when
// the attribute is missing; all, any and not nest; cesql is evaluated by the
// CloudEvents SDK and does not match when it fails. What Knative's webhook
// refuses, and what its broker skips with a warning, is an error of Load.
//
// Knative's own API types and filters would link client-go and 50 MB into
// each function. So the types stand here again, as small as they are needed,
// and the tests of deploy/e2e hold both implementations against each other.
//
// The inference service has no Trigger: each of its replicas follows the
// routes in the log, and a Trigger delivers to one of them.
package triggers
