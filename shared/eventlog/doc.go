// Package eventlog is the log: every fact as a CloudEvent in one JetStream
// stream.
//
// # Subjects
//
// An event stands at events.<pipeline>.<noun>.<past>.<function>.<cause>.<n>.
// The cause is a digest of what led to it: of the handled event, or of what
// makes an origin one (events.Originated). A subject holds one event for ever
// (MaxMsgsPerSubject 1, DiscardNewPerSubject), so that a duplicate is refused
// by the stream itself, at any time, whoever sends it. Tokens are DNS labels,
// hex or numbers and nothing else: a token with a dot would be stored and
// never delivered.
//
// # One handling, one record
//
// The first message of a handling expects that nothing stands yet at
// events.<pipeline>.*.*.<function>.<cause>.*, so a second handling of the same
// event is refused whatever it would now decide. A handling that announces one
// event is one plain message; several, or a guard beside the record, are an
// atomic batch, which costs a hundred times as much and is kept out of hot
// paths.
//
// # Guards
//
// A decision that hangs on state (dataset, drift, rollout: GuardedNouns) carries the sequence of the newest event of
// the noun it saw, under the noun's one canonical text events.<pipeline>.<noun>.>
// (replicas match guards in flight by text). Each append that writes a guarded
// noun must carry it.
//
// # Refusals
//
// 10071 and 10164 (wrong expected sequence) and 10077 (the subject is taken)
// mean: look. If the handling's record is there, the commit is done already;
// if not, ErrMoved: fold and decide again. A time-out, no answer, 10176 and
// 10210 mean: send again. Nothing else counts as done.
//
// # What we gave up
//
// The stream denies deletes and purges, so the log only grows; a compaction
// would be a new stream. Dedupe by Nats-Msg-Id is not used: its window ends,
// and within it a duplicate refuses a whole batch.
package eventlog
