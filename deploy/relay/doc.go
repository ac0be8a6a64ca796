// Package relay leads the event log to a Knative broker, so that the broker
// only has to deliver: one that loses events costs time, never facts.
//
// # What it does
//
// Each function that a trigger leads to has a lane: a durable consumer of the
// log, narrowed to the trigger's types. The relay POSTs each event of a lane
// to the broker's ingress as a binary CloudEvent with via: log and the log's
// time. The event stays on the lane until the function's record of the
// handling stands in the log (eventlog.Log.Record); until then it is sent
// again, with growing pauses, and when the attempts are spent the relay
// records the dead letter in the function's name. A function that cannot be
// reached holds up its own lane and no other.
//
// A function that answers Later notes event.deferred; the relay then sends the
// event when that time has come, and does not count the attempt.
//
// # How it remembers
//
// The positions, what is under way, and every pause are the NATS server's: an
// event that was sent is given back to its consumer with a delay, and
// acknowledged when the record comes by. The relay keeps some hundred bytes
// for each event under way, at most Options.Window a lane, and never the
// event. At its start it resets each consumer to its acknowledged floor, looks
// for the records of what lies above it, and sends what has none. Only the
// number of attempts is forgotten then: a relay that is killed sends more
// often, and gives nothing up too early.
//
// # Delivery
//
// At least once. Before it sends, the relay asks the log's leader for the
// record, so what is done is not sent again; but an event that is being
// handled when the relay starts, or for longer than the first pause, comes to
// the function twice. Its record is one all the same.
//
// # What we gave up
//
// Two relays at a time do no harm and no good: each would send part of the
// events. Order is not kept. An event that two functions hear has two lanes,
// which share one request when they come to it at the same time.
package relay
