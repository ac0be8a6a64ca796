package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// readPatience is how long a question is asked again: longer than a cluster
// takes to find another leader, shorter than a person waits for an answer.
const readPatience = 20 * time.Second

// persist asks until there is an answer. A question that reaches a server that
// is about to end, or a cluster that has no leader just then, gets none.
func (l *Log) persist(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	backoff, patience := 20*time.Millisecond, attemptTimeout/5
	for {
		attempt, cancel := context.WithTimeout(ctx, patience)
		err := ask(attempt)
		cancel()
		if verdict(err) != sendAgain {
			return err
		}
		l.logger.DebugContext(ctx, "the event log did not answer; asking again", "error", err, "in", backoff)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", ctx.Err(), err)
		case <-time.After(backoff):
		}
		backoff, patience = min(2*backoff, maxBackoff), min(2*patience, attemptTimeout)
	}
}

// stream is what the server says of the stream, with the subjects that the
// filter matches unless it is empty.
func (l *Log) stream(ctx context.Context, subjects string) (s jetstream.Stream, info *jetstream.StreamInfo, err error) {
	err = l.persist(ctx, func(ctx context.Context) (err error) {
		if s, err = l.js.Stream(ctx, Stream); err != nil || subjects == "" {
			return err
		}
		info, err = s.Info(ctx, jetstream.WithSubjectFilter(subjects))
		return err
	})
	if err == nil && info == nil {
		info = s.CachedInfo()
	}
	return s, info, err
}
