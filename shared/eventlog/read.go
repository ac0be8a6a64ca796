package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
)

// Filter chooses events. Zero fields choose all.
type Filter struct {
	Pipeline string
	// Types are CloudEvents types.
	Types []string
	// From is the first sequence, To the last one, 0 for the newest.
	From, To uint64
}

func (f Filter) subject() string {
	if len(f.Types) != 1 {
		return pipelineFilter(f.Pipeline)
	}
	pipeline := f.Pipeline
	if pipeline == "" {
		pipeline = "*"
	}
	noun, past := events.Words(f.Types[0])
	return root + "." + pipeline + "." + noun + "." + past + ".>"
}

func (f Filter) wants(e events.Envelope) bool {
	return len(f.Types) == 0 || slices.Contains(f.Types, e.Type)
}

// readBatch is the number of events that a reader requests ahead.
const readBatch = 500

// Recorded is a record of the log.
type Recorded struct {
	events.Envelope
	// Place is the record's subject in the log.
	Place string
	// Index is the event's position in its commit, from 1, and More the number of events of the same commit that follow.
	// A commit of one has the index 1.
	Index, More int
	// Unreadable says why the record is not an event; empty when it is one. Of an unreadable record only Sequence, Time
	// and Place are set.
	Unreadable string
}

// Read returns the committed events in order, up to the newest at the time of the call. It reads from any replica: use it
// to find events, not to decide. Unreadable records are skipped; after an error nothing follows.
func (l *Log) Read(ctx context.Context, f Filter) iter.Seq2[events.Envelope, error] {
	return func(yield func(events.Envelope, error) bool) {
		for r, err := range l.Recorded(ctx, f) {
			if r.Unreadable == "" && !yield(r.Envelope, err) {
				return
			}
		}
	}
}

// Recorded is Read with each event's position in its commit, and with the unreadable records, so that a fold advances past
// them.
func (l *Log) Recorded(ctx context.Context, f Filter) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		f := f
		err := l.read(ctx, &f, func(r Recorded, err error) bool {
			if r.Unreadable != "" {
				l.skip(ctx, r)
			}
			return yield(r, err)
		})
		if err != nil {
			yield(Recorded{}, fmt.Errorf("read the event log: %w", err))
		}
	}
}

// read walks the log to its end. When the server it reads from ends meanwhile, it continues on another one. f.From moves
// along.
func (l *Log) read(ctx context.Context, f *Filter, yield func(Recorded, error) bool) error {
	ends := time.Now().Add(readPatience)
	for {
		from := f.From
		err := l.walk(ctx, f, yield)
		if f.From > from {
			ends = time.Now().Add(readPatience)
		}
		if !disturbed(err) || ctx.Err() != nil || time.Now().After(ends) {
			return err
		}
		l.logger.DebugContext(ctx, "reading the event log was interrupted and continues", "error", err, "from", f.From)
	}
}

// disturbed reports whether a reader was lost and another one can continue.
func disturbed(err error) bool {
	return errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, jetstream.ErrConnectionClosed) || errors.Is(err, jetstream.ErrServerShutdown) || errors.Is(err, nats.ErrNoResponders)
}

// walk reads with a consumer that lives as long as the walk: a direct get counts the messages that follow at each request,
// which is slow in a log of many subjects. f.From moves along.
func (l *Log) walk(ctx context.Context, f *Filter, yield func(Recorded, error) bool) error {
	var c jetstream.Consumer
	err := l.retry(ctx, func(ctx context.Context) (err error) {
		c, err = l.js.CreateConsumer(ctx, Stream, jetstream.ConsumerConfig{
			FilterSubject: f.subject(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(1, f.From),
			AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readIdle,
		})
		return err
	})
	if err != nil {
		return err
	}
	defer l.forget(ctx, c)
	if c.CachedInfo().NumPending == 0 {
		return nil
	}
	it, err := c.Messages(jetstream.PullMaxMessages(readBatch), jetstream.PullHeartbeat(readHeartbeat))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err // Next still gives what it has
		}
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if f.To > 0 && meta.Sequence.Stream > f.To {
			return nil
		}
		r := recordOf(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream, meta.Timestamp)
		if (r.Unreadable != "" || f.wants(r.Envelope)) && !yield(r, nil) {
			return nil
		}
		if meta.NumPending == 0 {
			return nil
		}
		f.From = meta.Sequence.Stream + 1
	}
}

// readHeartbeat is how often the server sends a heartbeat while a reader waits. A reader that misses two is lost.
const readHeartbeat = 2 * time.Second

// readIdle is how long the server keeps the consumer of a reader that died.
const readIdle = 30 * time.Second

// forget deletes a reader's consumer. If that fails the server removes it after readIdle.
func (l *Log) forget(ctx context.Context, c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	if err := l.js.DeleteConsumer(ctx, Stream, c.CachedInfo().Name); err != nil {
		l.logger.DebugContext(ctx, "a reader of the event log was not deleted", "error", err)
	}
}

// Find returns the pipeline's event with the id, or whose id begins with it (6 characters at least), and false if the log
// does not have it. It reads the pipeline's whole log.
func (l *Log) Find(ctx context.Context, pipeline, id string) (events.Envelope, bool, error) {
	for e, err := range l.Read(ctx, Filter{Pipeline: pipeline}) {
		if err != nil {
			return events.Envelope{}, false, err
		}
		if len(id) >= events.MinPrefix && len(e.ID) >= len(id) && e.ID[:len(id)] == id {
			return e, true, nil
		}
	}
	return events.Envelope{}, false, nil
}
