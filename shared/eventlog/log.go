package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stream is the name of the stream that is the log.
const Stream = "EVENTS"

// maxOpenBatches bounds a process's atomic batches: a stream takes 50 in flight.
const maxOpenBatches = 8

// Log is the event log. It is safe for concurrent use.
type Log struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	logger  *slog.Logger
	batches chan struct{}
	// readOnly refuses every append.
	readOnly bool
	// own: see Options.
	own     bool
	trouble func() error
	refused *refusal
}

// Options of a log.
type Options struct {
	// Replicas of the stream when it is made; 1 if 0.
	Replicas int
	// Trouble says why the server can store nothing now, if that is known; nil
	// when it can. What is appended meanwhile is refused with it.
	Trouble func() error
	// Own says that the server is this process's own and no other's: whatever
	// answers is the leader.
	Own    bool
	Logger *slog.Logger
}

// Open opens the log over a connection, and makes its stream if there is none.
// The connection stays the caller's.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Log, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Trouble == nil {
		o.Trouble = func() error { return nil }
	}
	l := &Log{nc: nc, js: js, logger: o.Logger, batches: make(chan struct{}, maxOpenBatches), own: o.Own, trouble: o.Trouble, refused: new(refusal)}
	if err := l.ensureStream(ctx, max(1, o.Replicas)); err != nil {
		return nil, fmt.Errorf("open the event log at %s: %w", nc.ConnectedUrlRedacted(), err)
	}
	return l, nil
}

// ensureStream finds or makes the stream. A request that reaches a cluster
// before it has a leader is never answered, so it is sent again.
func (l *Log) ensureStream(ctx context.Context, replicas int) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := l.findOrMakeStream(attempt, replicas)
		cancel()
		if verdict(err) != sendAgain || ctx.Err() != nil {
			return err
		}
		l.logger.WarnContext(ctx, "the NATS server does not answer for JetStream; asking again", "error", err)
	}
}

func (l *Log) findOrMakeStream(ctx context.Context, replicas int) error {
	_, err := l.js.Stream(ctx, Stream)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	_, err = l.js.CreateStream(ctx, jetstream.StreamConfig{
		Name:                 Stream,
		Description:          "Millrace's event log: every fact, for ever",
		Subjects:             []string{root + ".>"},
		MaxMsgsPerSubject:    1,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		DenyDelete:           true,
		DenyPurge:            true,
		AllowDirect:          true,
		AllowAtomicPublish:   true,
		Storage:              jetstream.FileStorage,
		Replicas:             replicas,
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil
	}
	return err
}

// Replicas is on how many servers the log is kept, and what is kept beside it
// should be.
func (l *Log) Replicas(ctx context.Context) (int, error) {
	_, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("ask for the replicas of the event log: %w", err)
	}
	return max(1, info.Config.Replicas), nil
}

// JetStream is the log's JetStream, for streams and consumers beside it.
func (l *Log) JetStream() jetstream.JetStream { return l.js }

// Ready says whether the log can be reached now.
func (l *Log) Ready(ctx context.Context) error {
	if s := l.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("the NATS server at %s is not connected: %s", l.nc.ConnectedUrlRedacted(), s)
	}
	if err := l.trouble(); err != nil {
		return err
	}
	_, err := l.js.Stream(ctx, Stream)
	return err
}

// Size is the number of events in the log and the bytes they take.
func (l *Log) Size(ctx context.Context) (count, bytes uint64, err error) {
	_, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	return info.State.Msgs, info.State.Bytes, nil
}

// Pipelines lists the pipelines that have events, sorted.
func (l *Log) Pipelines(ctx context.Context) ([]string, error) {
	_, info, err := l.stream(ctx, root+".*.pipeline.configured.>")
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	var names []string
	for subject := range info.State.Subjects {
		if t := strings.SplitN(subject, ".", 3); len(t) == 3 && !slices.Contains(names, t[1]) {
			names = append(names, t[1])
		}
	}
	slices.Sort(names)
	return names, nil
}

// SequenceAt is the sequence of the last event at or before t, 0 if there is
// none. Where the server's clock had been set back, times come twice, and it is
// the last before one of them: off by no more than the clock was set back.
func (l *Log) SequenceAt(ctx context.Context, t time.Time) (uint64, error) {
	s, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, err
	}
	last := info.State.LastSeq
	// The first event after t, less one.
	from := uint64(1)
	to := last + 1
	for from < to {
		mid := from + (to-from)/2
		m, err := s.GetMsg(ctx, mid)
		if err != nil {
			return 0, fmt.Errorf("look for the events of %s: %w", t.Format(time.RFC3339), err)
		}
		if m.Time.After(t) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from - 1, nil
}
