package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// recall reads the deferrals above the floor: their events are still to be sent.
func (r *Relay) recall(ctx context.Context, floor uint64) error {
	f := eventlog.Filter{Types: []string{events.EventDeferred{}.EventType()}, From: floor + 1}
	for e, err := range r.log.Read(ctx, f) {
		if err != nil {
			return err
		}
		r.deferred(e)
	}
	return nil
}

// follow settles the events whose records appear in the log. It reads only the
// subjects, which name the handling that an event is part of.
func (r *Relay) follow(ctx context.Context, from uint64) error {
	deferral := events.EventDeferred{}.EventType()
	c, err := r.log.JetStream().OrderedConsumer(ctx, eventlog.Stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return fmt.Errorf("follow the records in the event log: %w", err)
	}
	it, err := c.Messages()
	if err != nil {
		return fmt.Errorf("follow the records in the event log: %w", err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue // the consumer is recreated at its position
		case err != nil:
			return fmt.Errorf("follow the records in the event log: %w", err)
		}
		h, err := eventlog.HandlingAt(m.Subject())
		if err != nil {
			continue // a bare publish: not a record
		}
		if m.Headers().Get("ce-type") == deferral {
			if e, err := eventlog.FromMessage(m); err == nil {
				r.deferred(e)
			}
			continue
		}
		if l := r.lanes[h.Function]; l != nil {
			l.settle(key{h.Pipeline, h.Cause})
		}
	}
}

// deferred notes when a function wants an event again.
func (r *Relay) deferred(e events.Envelope) {
	d, err := events.Decode[events.EventDeferred](e)
	if err != nil {
		r.logger.Error("a deferral in the log cannot be read; its event is sent again after the usual pause", "event", e.ID, "error", err)
		return
	}
	l := r.lanes[d.Data.Function]
	until, err := time.Parse(time.RFC3339Nano, d.Data.Until)
	if err == nil && l != nil {
		l.postpone(name{e.Pipeline, d.Data.Event, d.Data.Type}, until)
	}
}
