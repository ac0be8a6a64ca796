package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bare is the peer: the least that moves an event at least once from a
// durable stream through a handler into the stream again.
func (b *bench) bare(ctx context.Context, n, hops int) ([]time.Duration, float64, error) {
	js := b.log.JetStream()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare.>"}}); err != nil {
		return nil, 0, err
	}
	c, err := js.CreateConsumer(ctx, "BARE", jetstream.ConsumerConfig{Durable: "bare", FilterSubject: "bare.in.*", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 2000})
	if err != nil {
		return nil, 0, err
	}
	workers := make(chan struct{}, 8)
	handle := func(m jetstream.Msg) {
		workers <- struct{}{}
		go func() {
			defer func() { <-workers }()
			if _, err := js.Publish(ctx, strings.Replace(m.Subject(), ".in.", ".out.", 1), m.Data()); err == nil {
				_ = m.Ack()
			}
		}()
	}
	handled, err := c.Consume(handle)
	if err != nil {
		return nil, 0, err
	}
	out, err := js.OrderedConsumer(ctx, "BARE", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"bare.out.*"}})
	if err != nil {
		return nil, 0, err
	}
	seen := make(chan struct{}, hops)
	followed, err := out.Consume(func(jetstream.Msg) { seen <- struct{}{} })
	if err != nil {
		return nil, 0, err
	}
	defer followed.Stop()
	body := []byte(strings.Repeat("x", 300))
	ask := func(i int) error {
		_, err := js.Publish(ctx, "bare.in."+strconv.Itoa(i), body)
		return err
	}
	latency := make([]time.Duration, 0, n)
	for i := range n {
		if err := ask(i); err != nil {
			return nil, 0, err
		}
		began := time.Now()
		<-seen
		latency = append(latency, time.Since(began))
	}
	slices.Sort(latency)
	handled.Stop()
	<-handled.Closed()
	if err := parallel(hops, 64, func(i int) error { return ask(n + i) }); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	if handled, err = c.Consume(handle); err != nil {
		return nil, 0, err
	}
	defer handled.Stop()
	for i := range hops {
		select {
		case <-seen:
		case <-time.After(time.Minute):
			return nil, 0, fmt.Errorf("the bare consumer stood still after %d hops", i)
		}
	}
	return latency, float64(hops) / time.Since(began).Seconds(), nil
}

// processTime is the processor time this process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
