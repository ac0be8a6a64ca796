package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/access"
	"millrace.dev/shared/cloudevent"
)

// The inbox is a work queue in NATS, for senders that speak NATS: clients that
// publish CloudEvents, and the notifications of MinIO.
const (
	inboxWait    = 2 * commitWithin
	inboxRetry   = 5 * time.Second
	inboxPending = 64
)

type inbox struct {
	messages jetstream.MessagesContext
	done     chan struct{}
}

// startInbox creates the queue if it does not exist, and takes from it until ctx
// ends.
func (f *F) startInbox(ctx context.Context) error {
	stream, err := f.deps.Log.OpenInbox(ctx)
	if err != nil {
		return err
	}
	c, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: Name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: inboxWait, MaxAckPending: inboxPending, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("open the inbox: %w", err)
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(inboxPending))
	if err != nil {
		return fmt.Errorf("open the inbox: %w", err)
	}
	f.inbox = inbox{messages: messages, done: make(chan struct{})}
	context.AfterFunc(ctx, messages.Stop)
	go f.takeInbox(ctx)
	return nil
}

func (f *F) takeInbox(ctx context.Context) {
	defer close(f.inbox.done)
	for {
		m, err := f.inbox.messages.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return
		}
		if err != nil {
			f.deps.Logger.WarnContext(ctx, "the inbox cannot be read; trying again", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			continue
		}
		f.takeMessage(ctx, m)
	}
}

// takeMessage takes one message, and acknowledges it after the commit. One that
// can never be taken is terminated and logged, since a message has no answer.
func (f *F) takeMessage(ctx context.Context, m jetstream.Msg) {
	ctx, cancel := f.committing(access.WithCaller(ctx, machine()))
	defer cancel()
	as, err := messageArrivals(m.Headers(), m.Data())
	if err == nil {
		err = f.arrived(ctx, "inbox", as)
	} else {
		f.count("inbox", "", err)
	}
	switch {
	case err == nil:
		err = m.DoubleAck(ctx)
	case poison(err):
		f.deps.Logger.ErrorContext(ctx, "a message of the inbox is refused", "subject", m.Subject(), "bytes", len(m.Data()), "reason", err)
		err = m.TermWithReason(fmt.Sprintf("%.200s", err))
	default:
		f.deps.Logger.WarnContext(ctx, "a message of the inbox could not be taken; trying again", "subject", m.Subject(), "error", err, "after", inboxRetry)
		err = m.NakWithDelay(inboxRetry)
	}
	if err != nil {
		f.deps.Logger.WarnContext(ctx, "a message of the inbox is delivered again", "subject", m.Subject(), "error", err)
	}
}

// messageArrivals reads a message in either mode of the NATS binding. MinIO's
// notifications have no headers at all.
func messageArrivals(header nats.Header, body []byte) ([]arrival, error) {
	if !cloudevent.Claims(header) {
		as, _, err := storeArrivals("", body)
		return as, err
	}
	return arrivalsOf(cloudevent.FromNATS(header, body))
}

func (i *inbox) stop(ctx context.Context) error {
	if i.messages == nil {
		return nil
	}
	i.messages.Stop()
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the inbox: %w", context.Cause(ctx))
	}
}
