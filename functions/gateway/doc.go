// Package gateway is the HTTP door of Millrace. What comes in through it ends
// in the event log before it is answered, or is refused with a sentence.
//
//   - PUT and DELETE /uploads/<pipeline>/<name>: the bytes go to the artifact
//     store, and object.uploaded or object.removed into each pipeline that
//     wants the key.
//   - POST /events, and / for a Knative broker: CloudEvents, one or a batch, and
//     what object stores send of their own accord (S3, EventBridge, MinIO,
//     Google Cloud Storage, Azure Event Grid).
//   - The subjects millrace.inbox.> of NATS take the same events as messages.
//   - /api/: what the log and the states say, for the command and a console, and
//     what a person asks for: training, promotion, rollback, dead letters.
//
// Pipelines come from the folder MILLRACE_PIPELINES, if it is set, which is kept
// configured: on a cluster a mounted ConfigMap, of which a change is noticed
// within seconds while a process runs, and by the next one otherwise.
//
// # Who may come in
//
// With a token, every request carries it. A Knative broker and other sources
// of a cluster cannot: they come to the gate (MILLRACE_GATE), a second Service
// of this function that is local to the cluster, takes events only, and asks
// for no token. Whoever may reach it may reach the broker too, so it opens
// nothing that was closed. A separate port would be no help, since Knative
// Services have one, nor a NetworkPolicy between the two, since every request
// comes from Knative's own pods.
//
// # Delivery
//
// Everything may be sent twice. An upload has happened when the object's bytes
// differ from those that were uploaded last, or when the configuration has
// changed since they were read; a second PUT before that is a success that
// names the first. A store's notification has happened once per bucket, key,
// version and sequencer; a foreign event once per source, id and type.
//
// # The gate
//
// Of Millrace's own types, the gate takes those that the catalogue calls
// foreign, when they are valid and their pipeline exists. Types it does not
// know stand in the log as foreign.received, for those who want to hear them.
// A foreign event keeps its id, source and type. Attributes by which Millrace
// steers its own deliveries are taken off.
package gateway
