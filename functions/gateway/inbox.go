package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
)

// The inbox is a work queue in NATS, for senders that speak NATS: clients that
// publish CloudEvents, and the notifications of MinIO.
const (
	inboxStream  = "INBOX"
	inboxSubject = "millrace.inbox.>"
	inboxWait    = 2 * commitWithin
	inboxAgain   = 5 * time.Second
	inboxPending = 64
)

type inbox struct {
	messages jetstream.MessagesContext
	done     chan struct{}
}

// startInbox makes the queue if there is none, and takes from it until ctx ends.
func (f *F) startInbox(ctx context.Context) error {
	js := f.Log.JetStream()
	log, err := js.Stream(ctx, eventlog.Stream)
	if err != nil {
		return fmt.Errorf("make the inbox: %w", err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: inboxStream, Description: "Events from outside, until the gateway has taken them into the log",
		Subjects: []string{inboxSubject}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		Replicas: log.CachedInfo().Config.Replicas,
	})
	// One that is there may have been given other limits by its operator.
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("make the inbox: %w", err)
	}
	c, err := js.CreateOrUpdateConsumer(ctx, inboxStream, jetstream.ConsumerConfig{
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
			f.Logger.WarnContext(ctx, "the inbox cannot be read; trying again", "error", err)
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
// can never be taken is ended and logged: there is nobody to answer.
func (f *F) takeMessage(ctx context.Context, m jetstream.Msg) {
	ctx, cancel := f.committing(ctx)
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
		f.Logger.ErrorContext(ctx, "a message of the inbox is refused", "subject", m.Subject(), "bytes", len(m.Data()), "reason", err)
		err = m.TermWithReason(fmt.Sprintf("%.200s", err))
	default:
		f.Logger.WarnContext(ctx, "a message of the inbox could not be taken; trying again", "subject", m.Subject(), "error", err, "in", inboxAgain)
		err = m.NakWithDelay(inboxAgain)
	}
	if err != nil {
		f.Logger.WarnContext(ctx, "a message of the inbox will come again", "subject", m.Subject(), "error", err)
	}
}

// messageArrivals reads a message in either mode of the NATS binding, whose
// headers differ from HTTP's in that the type of the data is an attribute.
// MinIO's notifications have no headers at all.
func messageArrivals(header nats.Header, body []byte) ([]arrival, error) {
	h := http.Header{}
	for name, values := range header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if kind := h["Ce-Datacontenttype"]; kind != nil {
		delete(h, "Ce-Datacontenttype")
		if !strings.HasPrefix(h.Get("Content-Type"), "application/cloudevents") {
			h["Content-Type"] = kind
		}
	}
	as, ok, err := eventArrivals(h, body)
	if err != nil || ok {
		return as, err
	}
	as, _, err = storeArrivals("", body)
	return as, err
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
		return fmt.Errorf("the inbox: %w", ctx.Err())
	}
}
