// Package eventlog is the log: every fact as a CloudEvent in one JetStream stream.
//
// # Subjects
//
// The subject of an event is events.<pipeline>.<noun>.<past>.<function>.<cause>.<n>. The cause is a digest of what led to
// it: of the handled event, or of what identifies an origin (events.Originated). A subject holds one event for ever
// (MaxMsgsPerSubject 1, DiscardNewPerSubject), so the stream itself refuses a duplicate at any time, whatever its sender.
// Tokens are DNS labels, hex or numbers: a token with a dot would be stored and never delivered.
//
// # One handling, one record
//
// The first message of a handling expects that there is no message yet at events.<pipeline>.*.*.<function>.<cause>.*, so a
// second handling of the same event is refused, whatever it decided. A handling that emits one event is one plain
// message. Several events, or a guard beside the record, are an atomic batch, which costs a hundred times as much and is
// kept out of hot paths.
//
// # Guards
//
// A decision that depends on state (dataset, drift, rollout: [GuardedNouns]) carries the sequence of the newest event of the
// noun it saw, under the noun's one canonical filter events.<pipeline>.<noun>.> (replicas compare guards in flight by text).
// Every append that writes a guarded noun must carry it.
//
// # Refusals
//
// 10071 and 10164 (wrong expected sequence) and 10077 (the subject is taken) mean: look up the handling's record. If it
// exists, the commit is done already; if not, the answer is [ErrMoved]: fold and decide again. A timeout, no answer, 10176
// and 10210 mean: send again. Nothing else counts as done.
//
// # Unreadable records
//
// Anyone with the right to publish can put into the stream what is not an event: a bare `nats pub`, or an event that cannot
// be written as JSON again. Reading never fails because of such a record. It is skipped, noted with its sequence and reason
// ([Log.Unreadable]) and counted; folds and guards advance past it. An error while reading is returned as an error, never as
// the end of the events.
//
// # What we gave up
//
// The stream denies deletes and purges, so the log only grows; a compaction would be a new stream. We do not use dedupe by
// Nats-Msg-Id: its window ends, and within it a duplicate refuses a whole batch.
package eventlog
