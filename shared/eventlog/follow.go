package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
)

// Follow returns the committed events in order and waits for more, until ctx ends. After a lost connection it continues
// where it was. Unreadable records are skipped.
func (l *Log) Follow(ctx context.Context, f Filter) iter.Seq2[events.Envelope, error] {
	return func(yield func(events.Envelope, error) bool) {
		if err := l.follow(ctx, f, yield); err != nil {
			yield(events.Envelope{}, fmt.Errorf("follow the event log: %w", err))
		}
	}
}

func (l *Log) follow(ctx context.Context, f Filter, yield func(events.Envelope, error) bool) error {
	var c jetstream.Consumer
	err := l.retry(ctx, func(ctx context.Context) (err error) {
		c, err = l.js.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{f.subject()}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(1, f.From),
		})
		return err
	})
	if err != nil {
		return err
	}
	it, err := c.Messages()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	defer it.Stop()
	for {
		m, err := it.Next()
		if ctx.Err() != nil || errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := delivered(m)
		if err != nil {
			return err
		}
		if r.Unreadable != "" {
			l.skip(ctx, r)
			continue
		}
		if f.wants(r.Envelope) && !yield(r.Envelope, nil) {
			return nil
		}
	}
}

// delivered reads the record that a consumer delivered.
func delivered(m jetstream.Msg) (Recorded, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Recorded{}, fmt.Errorf("a delivery of the log: %w", err)
	}
	return recordOf(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream, meta.Timestamp), nil
}

// FromMessage reads an event that a consumer of the log delivered. The error is ErrUnreadable when the record is not an
// event: it will never be one, so acknowledge it.
func FromMessage(m jetstream.Msg) (events.Envelope, error) {
	r, err := delivered(m)
	if err == nil && r.Unreadable != "" {
		err = fmt.Errorf("%w: sequence %d, subject %s: %s", ErrUnreadable, r.Sequence, r.Place, r.Unreadable)
	}
	return r.Envelope, err
}
