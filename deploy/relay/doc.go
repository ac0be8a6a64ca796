// Package relay forwards the event log to a Knative broker, so that the broker
// only has to deliver: one that loses events costs time, never facts.
//
// # What it does
//
// Each function that has a trigger has a lane: a durable consumer of the log,
// narrowed to the trigger's types. The relay POSTs each event of a lane to the
// broker's ingress as a binary CloudEvent with via: log, the log's time, and
// logsequence, by which the function reads the event in the log. The event stays
// on the lane until the log has the function's record of the handling
// (eventlog.Log.Record); until then it is sent again, with growing pauses, and
// when the attempts are spent the relay records the dead letter in the
// function's name. A function that cannot be reached holds up its own lane and
// no other.
//
// A function that answers Later notes event.deferred; the relay then sends the
// event at the time that it names, and does not count the attempt.
//
// # State
//
// Positions, in-flight events and backoff live in NATS: after sending, the
// relay naks the message with a delay, and acks it once the record appears. It
// keeps some hundred bytes for each event under way, at most Options.Window a
// lane, and never the event. At its start it resets each consumer to its
// acknowledged floor, looks for the records of the events above it, and sends
// those without one. Only the number of attempts is lost then: a relay that is
// killed sends more often, and gives nothing up too early.
//
// # Delivery
//
// At least once. Before it sends, the relay asks the log's leader for the
// record, so a handled event is not sent again; but an event that is being
// handled when the relay starts, or for longer than the first pause, reaches the
// function twice. There is one record all the same.
//
// # What we gave up
//
// Running two relays is safe but useless: each forwards part of the events.
// Order is not kept. An event that two functions subscribe to has two lanes,
// which share one request when they reach it at the same time.
package relay
