// Package gateway is the entrance of Millrace. It puts what arrives over HTTP or
// NATS into the event log before it answers, or refuses it with a reason.
//
//   - PUT and DELETE /uploads/<pipeline>/<name>: the bytes go to the artifact
//     store, and object.uploaded or object.removed into each pipeline that
//     wants the key.
//   - POST /events, and / for a Knative broker: CloudEvents, one or a batch, and
//     notifications of object stores (S3, EventBridge, MinIO,
//     Google Cloud Storage, Azure Event Grid).
//   - The subjects millrace.inbox.> of NATS take the same events as messages.
//   - /api/: reads of the log and the states, for the command and a console, and
//     requests of people: training, promotion, rollback, dead letters.
//
// Pipelines come from the folder MILLRACE_PIPELINES, if it is set, which is kept
// configured. On a cluster it is a mounted ConfigMap; a running process notices a
// change within seconds, and otherwise the next one does.
//
// # Authentication
//
// Each route needs a role: see Routes and millrace.dev/shared/access. The name
// of a caller's token is an attribute of each event that the caller causes
// (authid); what a person writes as "by" is a note.
//
// A Knative broker and other sources inside a cluster cannot send a token. They
// use the internal gateway (MILLRACE_INTERNAL), a second Service of this
// program, which is local to the cluster and takes events only. Those that
// machines send need no token there; a decision of a person does: see
// rights.go. A separate port would not do, since Knative Services have one, nor
// would a NetworkPolicy, since every request comes from Knative's own pods.
//
// # Delivery
//
// Everything may be sent twice. A PUT is a new upload if the bytes differ from
// those uploaded last, or if the configuration has changed since they were
// read; otherwise it succeeds and returns the event of the first. A store's
// notification is taken once per bucket, key, version and sequencer, a foreign
// event once per source, id and type.
//
// # Admission
//
// Of Millrace's own types, the gateway takes those that the catalogue calls
// foreign, if they are valid and their pipeline exists. An event of an unknown
// type is logged as foreign.received, for anyone who subscribes to it. A foreign
// event keeps its id, source and type. Attributes that control Millrace's own
// deliveries are removed.
//
// What is accepted can be stored, read, listed, exported and imported again
// without a change. Whatever could not is refused: times outside of the years 1
// to 9999, control characters, data that is nested deeper than 1,000 levels.
package gateway
