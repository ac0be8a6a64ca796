package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/triggers"
)

const (
	// defaultAckWait is the default of StartOptions.AckWait.
	defaultAckWait = 10 * time.Second
	// maxAckPending bounds the deliveries that wait for a worker or for their
	// next attempt.
	maxAckPending = 2000
	// pollFor is the long-poll timeout, and therefore the longest that a stop
	// without running handlers takes. A pending fetch is not canceled: an event
	// already on its way would be redelivered.
	pollFor = 500 * time.Millisecond
)

// pull receives a function's events from the log: a durable consumer, narrowed
// to the trigger's types by subject. triggers/<function>.yaml says which events
// those are; the trigger's other attributes are matched here.
type pull struct {
	runtime *Runtime
	trigger triggers.Trigger
	logger  *slog.Logger
	ackWait time.Duration
	// queue holds the fetched events that wait for a worker, in the log's order.
	queue chan fetched
	// room bounds the events that were fetched and are not done.
	room    *semaphore.Weighted
	batch   int64
	running sync.WaitGroup
	quit    context.CancelFunc // ends fetching
	cancel  context.CancelFunc
}

// fetched is an event that was fetched, and the timer that reports its progress.
type fetched struct {
	message  jetstream.Msg
	progress *time.Timer
}

// startPull begins to receive.
func startPull(ctx context.Context, r *Runtime, o StartOptions) (*pull, error) {
	var filters []string
	for _, name := range o.Trigger.Types {
		filters = append(filters, eventlog.TypeFilter(name))
	}
	c, err := r.deps.Log.JetStream().CreateOrUpdateConsumer(ctx, eventlog.Stream, jetstream.ConsumerConfig{
		Durable: r.mux.name, Description: "deliveries to the function " + r.mux.name,
		FilterSubjects: filters, AckPolicy: jetstream.AckExplicitPolicy, AckWait: o.AckWait,
		MaxDeliver: -1, MaxAckPending: maxAckPending,
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe %s to the event log: %w", r.mux.name, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fetching, quit := context.WithCancel(ctx)
	p := &pull{
		runtime: r, trigger: o.Trigger, logger: r.deps.Logger, ackWait: o.AckWait, batch: 2 * int64(o.Workers),
		queue: make(chan fetched, 4*o.Workers), room: semaphore.NewWeighted(4 * int64(o.Workers)),
		quit: quit, cancel: cancel,
	}
	for range o.Workers {
		p.running.Go(func() { p.work(ctx) })
	}
	go p.run(ctx, fetching, c)
	return p, nil
}

// run fetches events until fetching ends. It fetches only what it can take at
// once: an event that waited in a buffer would be redelivered meanwhile.
func (p *pull) run(ctx, fetching context.Context, c jetstream.Consumer) {
	defer close(p.queue)
	for failing := false; p.room.Acquire(fetching, p.batch) == nil; {
		got, err := c.Fetch(int(p.batch), jetstream.FetchMaxWait(pollFor))
		unused := p.batch
		if err == nil {
			for m := range got.Messages() {
				unused--
				p.queue <- fetched{m, p.reportProgress(m)} // there is room for it
			}
			err = got.Error()
		}
		p.room.Release(unused)
		if err != nil {
			if !failing {
				p.logger.WarnContext(ctx, "fetching from the event log failed; trying again", "error", err, "after", pollFor)
			}
			select {
			case <-fetching.Done():
			case <-time.After(pollFor):
			}
		}
		failing = err != nil
	}
}

// stop fetches no more events and handles what was fetched until ctx ends. Then
// it cancels the handlers, which get a moment to return, and leaves their
// events to be delivered again.
func (p *pull) stop(ctx context.Context) error {
	p.quit()
	defer p.cancel()
	idle := make(chan struct{})
	go func() {
		p.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	p.cancel()
	select {
	case <-idle:
	case <-time.After(2 * interruptedTimeout):
	}
	return fmt.Errorf("%s stopped while events were being handled; they are delivered again", p.runtime.mux.name)
}

// work handles one event after another, in the order of the queue, until the
// queue is closed. Once ctx has ended it gives them back.
func (p *pull) work(ctx context.Context) {
	for e := range p.queue {
		if ctx.Err() != nil {
			_ = e.message.Nak() // if that is lost, it comes again after the ack wait
		} else if err := p.deliver(ctx, e.message, e.progress); err != nil && ctx.Err() == nil {
			p.logger.WarnContext(ctx, "an acknowledgement was not sent; the event is delivered again", "error", err)
		}
		e.progress.Stop()
		p.room.Release(1)
	}
}

// deliver handles one message and answers JetStream. It stops reporting
// progress before it does.
func (p *pull) deliver(ctx context.Context, m jetstream.Msg, progress *time.Timer) error {
	e, err := eventlog.FromMessage(m)
	if err != nil {
		// Only a bare publish that bypassed the gateway can have written it.
		p.logger.ErrorContext(ctx, "an event of the log cannot be read and is skipped", "subject", m.Subject(), "error", err)
		return m.TermWithReason(err.Error())
	}
	if !p.trigger.Matches(Attributes(e)) {
		return m.Ack()
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	d := Delivery{Envelope: e}
	if meta.NumDelivered > 1 {
		d.Again, d.Before = true, 1
	}
	if !failpoint.Keeps(failpoint.AckLast) {
		return errors.Join(m.Ack(), p.runtime.Handle(ctx, d).Err)
	}
	o := p.runtime.Handle(ctx, d)
	progress.Stop()
	if o.Err != nil {
		return m.NakWithDelay(o.After)
	}
	failpoint.Hit("ack.before")
	err = m.Ack()
	failpoint.Hit("ack.after")
	return err
}

// reportProgress keeps JetStream from redelivering an event while it is
// handled. The caller stops the timer.
func (p *pull) reportProgress(m jetstream.Msg) *time.Timer {
	var (
		mu sync.Mutex // held until t is set
		t  *time.Timer
	)
	mu.Lock()
	defer mu.Unlock()
	t = time.AfterFunc(p.ackWait/3, func() {
		if m.InProgress() == nil { // else it has been acknowledged
			mu.Lock()
			defer mu.Unlock()
			t.Reset(p.ackWait / 3)
		}
	})
	return t
}

// Attributes returns the event's CloudEvents attributes as triggers see them.
// Events that come from the log carry via: log.
func Attributes(e events.Envelope) map[string]string {
	a := e.Extensions()
	a["id"], a["source"], a["type"], a["subject"], a["via"] = e.ID, e.Source, e.Type, e.Subject, "log"
	return a
}
