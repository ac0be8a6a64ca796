package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/triggers"
)

// lane forwards the events of one function to the broker.
type lane struct {
	relay    *Relay
	function string
	trigger  triggers.Trigger
	consumer jetstream.Consumer
	table    *table
	metrics  laneMetrics
	logger   *slog.Logger
}

func newLane(r *Relay, t triggers.Trigger) *lane {
	return &lane{
		relay: r, function: t.Function, trigger: t, table: newTable(),
		metrics: r.metrics.lane(t.Function), logger: r.logger.With("to", t.Function),
	}
}

// open finds or makes the lane's consumer, takes it back to what it has
// acknowledged, and gives that sequence.
func (l *lane) open(ctx context.Context) (floor uint64, err error) {
	var filters []string
	for _, t := range l.trigger.Types {
		filters = append(filters, eventlog.TypeFilter(t))
	}
	js := l.relay.log.JetStream()
	l.consumer, err = js.CreateOrUpdateConsumer(ctx, eventlog.Stream, jetstream.ConsumerConfig{
		Durable: durable(l.function), Description: "events that the relay forwards to " + l.function,
		FilterSubjects: filters, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver: -1, MaxAckPending: l.relay.options.Window,
	})
	if err != nil {
		return 0, fmt.Errorf("subscribe the relay to the events of %s: %w", l.function, err)
	}
	reset, err := js.ResetConsumer(ctx, eventlog.Stream, durable(l.function))
	if errors.Is(err, nats.ErrNoResponders) {
		return 0, fmt.Errorf("the NATS server at %s cannot reset a consumer: the relay needs version 2.14 or newer: %w", js.Conn().ConnectedUrlRedacted(), err)
	}
	if err != nil {
		return 0, fmt.Errorf("take the events of %s up again: %w", l.function, err)
	}
	return reset.AckFloor.Stream, nil
}

// run sends until ctx ends, then waits for the running requests.
func (l *lane) run(ctx context.Context) error {
	working := make(chan struct{}, senders)
	var sending sync.WaitGroup
	// Deliveries that have begun end: their requests have timeouts of their own.
	work := context.WithoutCancel(ctx)
	consume, err := l.consumer.Consume(func(m jetstream.Msg) {
		working <- struct{}{}
		sending.Go(func() {
			defer func() { <-working }()
			l.deliver(work, m)
		})
	}, jetstream.PullMaxMessages(2*senders), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if !errors.Is(err, jetstream.ErrNoHeartbeat) {
			l.logger.Warn("receiving from the event log failed", "error", err)
		}
	}))
	if err != nil {
		return fmt.Errorf("receive the events of %s: %w", l.function, err)
	}
	select {
	case <-ctx.Done():
		consume.Stop()
		<-consume.Closed() // until then a delivery may still begin
	case <-consume.Closed():
		err = fmt.Errorf("the relay's consumer of the events of %s was deleted", l.function)
	}
	sending.Wait()
	return err
}

// deliver decides whether to send, wait, settle or dead-letter the event.
func (l *lane) deliver(ctx context.Context, m jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	e, err := eventlog.FromMessage(m)
	if err != nil {
		// Only a bare publish that bypassed the gateway can have written it.
		l.logger.Error("an event of the log cannot be read and is skipped", "subject", m.Subject(), "error", err)
		l.answer(m.Reply(), acknowledged)
		return
	}
	if !l.wants(e) {
		l.answer(m.Reply(), acknowledged)
		return
	}
	k, n := key{e.Pipeline, events.CauseOf(e.Header)}, name{e.Pipeline, e.ID, e.Type}
	w, wait := l.table.delivered(k, n, m.Reply(), e.Time)
	found, err := l.relay.log.Record(ctx, e.Pipeline, l.function, k.cause)
	switch {
	case err != nil:
		l.logger.Warn("the record of an event could not be read; trying again", "event", e.ID, "error", err)
		l.again(k, m.Reply(), time.Second)
	case len(found) > 0:
		l.settle(k)
	case wait > 0:
		l.again(k, m.Reply(), wait)
	case w.sent >= l.relay.options.Attempts:
		l.giveUp(ctx, k, m.Reply(), e, w)
	default:
		l.send(ctx, k, m.Reply(), e, w)
	}
}

// wants tells whether the function leaves a record of the event.
func (l *lane) wants(e events.Envelope) bool {
	target := e.Attributes[events.AttributeTarget]
	return l.trigger.Matches(function.Attributes(e)) && !e.Imported() && (target == "" || target == l.function)
}

// send gives the event to the broker and the delivery back to the consumer,
// until the record appears or the pause is over.
func (l *lane) send(ctx context.Context, k key, reply string, e events.Envelope, w waiting) {
	send := func() error { return l.relay.broker.send(ctx, e) }
	var err error
	if w.sent == 0 && l.relay.severalWant(e) {
		err = l.relay.broker.shared.once(ctx, e.Sequence, send)
	} else {
		err = send()
	}
	var pause time.Duration
	no, refusal := errors.AsType[*refused](err)
	known := l.table.update(k, func(w *waiting) {
		switch {
		case err == nil || refusal:
			if w.sent++; w.sent == 1 {
				w.first = time.Now()
			}
			w.failed, w.answer = 0, ""
			if refusal {
				w.answer = no.answer
			}
			pause = l.relay.options.pause(w.sent)
		default:
			w.failed++
			pause = brokerPause(w.failed)
		}
		// The function may have deferred the event before the broker's answer came.
		if d := time.Until(w.until); d > 0 {
			pause = d
		}
	})
	l.metrics.count(err, w.sent > 0)
	if err != nil {
		l.logger.Warn("the broker did not take an event; it is sent again", "event", e.ID, "after", pause, "error", err)
	}
	if known {
		l.again(k, reply, pause)
	}
}

// brokerPause is how long to wait for a broker that did not take n requests in
// a row. It is no attempt: the function has not been asked.
func brokerPause(n int) time.Duration {
	return min(100*time.Millisecond<<min(n, 10), 15*time.Second)
}

// giveUp makes the event a dead letter of the function, which is then the
// handling's record.
func (l *lane) giveUp(ctx context.Context, k key, reply string, e events.Envelope, w waiting) {
	now := time.Now().UTC()
	reason := fmt.Sprintf("%s left no record of it in %s, in which it was sent %d times: its Service does not answer the broker, or its handlings do not end",
		l.function, now.Sub(w.first).Round(time.Second), w.sent)
	if w.answer != "" {
		reason = "the broker refuses it: " + w.answer
	}
	letter := events.DeadLetterRecorded{
		Event: e, Function: l.function, Attempts: w.sent, Reason: reason,
		First: w.first.UTC().Format(time.RFC3339Nano), Last: now.Format(time.RFC3339Nano),
	}
	if len(letter.Event.Data) > events.MaxDataBytes/2 {
		letter.Event.Data = nil // the log has it under the event's id
	}
	done, err := l.relay.log.Append(ctx, eventlog.Commit{
		Pipeline: e.Pipeline, Function: l.function, Handled: e.Header, Data: []events.Data{letter},
	})
	if err != nil {
		l.logger.Warn("a dead letter could not be recorded; trying again", "event", e.ID, "error", err)
		l.again(k, reply, time.Second)
		return
	}
	if !done.Duplicate {
		l.metrics.deadLetters.Inc()
		l.logger.Error("an event is a dead letter", "event", e.ID, "type", e.Type, "pipeline", e.Pipeline, "attempts", w.sent, "reason", reason)
	}
	l.settle(k)
}

// settle removes an event from the lane: the log has its record.
func (l *lane) settle(k key) {
	if reply, ok := l.table.settled(k); ok {
		l.answer(reply, acknowledged)
	}
}

// postpone keeps the time of a deferral.
func (l *lane) postpone(n name, until time.Time) {
	reply, ok := l.table.postponed(n, until)
	if !ok {
		return
	}
	l.metrics.deferred.Inc()
	l.answer(reply, delayed(max(time.Until(until), time.Millisecond)))
}

// again gives a delivery back for a while, unless it was settled meanwhile.
func (l *lane) again(k key, reply string, after time.Duration) {
	if l.table.update(k, func(*waiting) {}) {
		l.answer(reply, delayed(after))
	}
}

// The answers to a delivery. The relay sends them itself, since what it keeps
// of a delivery is where to answer and not the message with its data. One that
// is lost leads to a delivery more; one for a delivery that is acknowledged
// already does nothing.
const acknowledged = "+ACK"

func delayed(d time.Duration) string {
	b, _ := json.Marshal(map[string]time.Duration{"delay": d})
	return "-NAK " + string(b)
}

func (l *lane) answer(reply, with string) {
	if err := l.relay.log.JetStream().Conn().Publish(reply, []byte(with)); err != nil {
		l.logger.Warn("a delivery could not be answered; it comes again", "answer", strings.Fields(with)[0], "error", err)
	}
}

// severalWant tells whether more than one lane waits for the event's record.
func (r *Relay) severalWant(e events.Envelope) bool {
	n := 0
	for _, l := range r.lanes {
		if l.wants(e) {
			n++
		}
	}
	return n > 1
}
