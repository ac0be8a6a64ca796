package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// readPatience is how long a request is repeated: longer than a cluster takes to elect a leader, shorter than a person
// waits for an answer.
const readPatience = 20 * time.Second

// retry repeats a request until it is answered. A stopping server, or a cluster without a leader, does not answer.
func (l *Log) retry(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	backoff, patience := 20*time.Millisecond, attemptTimeout/5
	for {
		attempt, cancel := context.WithTimeout(ctx, patience)
		err := request(attempt)
		cancel()
		if verdict(err) != sendAgain {
			return err
		}
		l.logger.DebugContext(ctx, "the event log did not answer; the request is repeated", "error", err, "after", backoff)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", context.Cause(ctx), err)
		case <-time.After(backoff):
		}
		backoff, patience = min(2*backoff, maxBackoff), min(2*patience, attemptTimeout)
	}
}

// stream returns the stream's state, with the subjects that the filter matches unless it is empty.
func (l *Log) stream(ctx context.Context, subjects string) (s jetstream.Stream, info *jetstream.StreamInfo, err error) {
	err = l.retry(ctx, func(ctx context.Context) (err error) {
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
