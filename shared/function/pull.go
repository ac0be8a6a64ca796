package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/triggers"
)

const (
	// ackWait is when JetStream delivers again what was neither acknowledged
	// nor said to be in progress.
	ackWait = 10 * time.Second
	// maxAckPending bounds the deliveries that wait, for a worker or for their
	// next attempt.
	maxAckPending = 2000
	// pollFor is how long the server holds a request for events while there are
	// none, and so what a stop may take: a request that was taken back instead
	// could cross with an event, which would then come a second time.
	pollFor = 500 * time.Millisecond
)

// pull receives a function's events from the log: a durable consumer, narrowed
// to the trigger's types by subject; the trigger's other attributes are
// matched here.
type pull struct {
	runtime *Runtime
	trigger triggers.Trigger
	logger  *slog.Logger
	workers chan struct{}
	running sync.WaitGroup
	quit    context.CancelFunc // asks for no more
	closed  chan struct{}      // closed when nothing more can come
	cancel  context.CancelFunc
}

// startPull begins to receive. workers bounds the handlings at a time.
func startPull(ctx context.Context, r *Runtime, t triggers.Trigger, workers int) (*pull, error) {
	var filters []string
	for _, name := range t.Types {
		filters = append(filters, eventlog.TypeFilter(name))
	}
	c, err := r.deps.Log.JetStream().CreateOrUpdateConsumer(ctx, eventlog.Stream, jetstream.ConsumerConfig{
		Durable: r.mux.name, Description: "deliveries to the function " + r.mux.name,
		FilterSubjects: filters, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver: -1, MaxAckPending: maxAckPending,
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe %s to the event log: %w", r.mux.name, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	asking, quit := context.WithCancel(ctx)
	p := &pull{
		runtime: r, trigger: t, logger: r.deps.Logger, workers: make(chan struct{}, workers),
		quit: quit, closed: make(chan struct{}), cancel: cancel,
	}
	go p.run(ctx, asking, c, 2*workers)
	return p, nil
}

// run asks for up to batch events at a time while asking lives. What was asked
// of a server that ended is asked again.
func (p *pull) run(ctx, asking context.Context, c jetstream.Consumer, batch int) {
	defer close(p.closed)
	for disturbed := false; asking.Err() == nil; {
		got, err := c.Fetch(batch, jetstream.FetchMaxWait(pollFor))
		if err == nil {
			for m := range got.Messages() {
				p.receive(ctx, m)
			}
			err = got.Error()
		}
		if err != nil {
			if !disturbed {
				p.logger.Warn("receiving from the event log was disturbed", "error", err)
			}
			select {
			case <-asking.Done():
			case <-time.After(pollFor):
			}
		}
		disturbed = err != nil
	}
}

// stop asks for no more events, handles what has been delivered until ctx
// ends, and leaves the rest to be delivered again.
func (p *pull) stop(ctx context.Context) error {
	p.quit()
	defer p.cancel()
	idle := make(chan struct{})
	go func() {
		<-p.closed // until then a delivery may still begin
		p.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s stopped while events were being handled; they are delivered again", p.runtime.mux.name)
	}
}

func (p *pull) receive(ctx context.Context, m jetstream.Msg) {
	p.workers <- struct{}{}
	p.running.Add(1)
	go func() {
		defer func() { <-p.workers; p.running.Done() }()
		if err := p.deliver(ctx, m); err != nil && ctx.Err() == nil {
			p.logger.Warn("an acknowledgement was not sent; the event is delivered again", "error", err)
		}
	}()
}

// deliver handles one message and says what became of it.
func (p *pull) deliver(ctx context.Context, m jetstream.Msg) error {
	e, err := eventlog.FromMessage(m)
	if err != nil {
		// Only a bare publish past the gateway can have written it.
		p.logger.Error("an event of the log cannot be read; it is passed over", "subject", m.Subject(), "error", err)
		return m.TermWithReason(err.Error())
	}
	if !p.trigger.Matches(Attributes(e)) {
		return m.Ack()
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	alive := stillAlive(m)
	d := Delivery{Envelope: e}
	if meta.NumDelivered > 1 {
		d.Again, d.Before = true, 1
	}
	if ackFirst {
		return errors.Join(m.Ack(), p.runtime.Handle(ctx, d).Err)
	}
	o := p.runtime.Handle(ctx, d)
	alive.Stop()
	if o.Err != nil {
		return m.NakWithDelay(o.After)
	}
	failpoint.Hit("ack.before")
	err = m.Ack()
	failpoint.Hit("ack.after")
	return err
}

// stillAlive keeps a delivery from coming again while it is handled.
func stillAlive(m jetstream.Msg) *time.Timer {
	var (
		mu sync.Mutex // held until t is there
		t  *time.Timer
	)
	mu.Lock()
	defer mu.Unlock()
	t = time.AfterFunc(ackWait/3, func() {
		if m.InProgress() == nil { // else it has been acknowledged
			mu.Lock()
			defer mu.Unlock()
			t.Reset(ackWait / 3)
		}
	})
	return t
}

// Attributes are the event's CloudEvents attributes as triggers see them. What
// the log delivers carries via: log.
func Attributes(e events.Envelope) map[string]string {
	a := e.Extensions()
	a["id"], a["source"], a["type"], a["subject"], a["via"] = e.ID, e.Source, e.Type, e.Subject, "log"
	return a
}
