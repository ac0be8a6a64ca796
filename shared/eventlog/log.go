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
	// embedded and degraded: see Options.
	embedded    bool
	degraded    func() error
	lastFailure *lastFailure
	unreadable  *unreadables
	// api is the prefix of the JetStream API, made the time at which the stream was made.
	api  string
	made time.Time
	// user, announces and denied: see Options.
	user      string
	announces bool
	denied    *denied
	// creates says that the program may create streams.
	creates bool
}

// Options of a log.
type Options struct {
	// Replicas of the stream when it is made; 1 if 0.
	Replicas int
	// Degraded returns why the server can store nothing now, nil when it can. Appends fail with it meanwhile.
	Degraded func() error
	// Embedded means that the server runs in this process and is not part of a cluster, so any reply is the leader's.
	Embedded bool
	// User is the connection's user if it has an account of its own with the rights of one program (see Setup). Such a
	// program cannot create the log: Open waits until it exists.
	User   string
	Logger *slog.Logger

	// announces is for a program that appends and does not read.
	announces bool
	// setup is for the one user with an account of its own that may create streams.
	setup  bool
	denied *denied
}

// Open opens the log over a connection, and creates its stream if it does not exist. Closing the connection is up to the
// caller.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Log, error) {
	api := jetstream.DefaultAPIPrefix
	if o.User != "" {
		api = AccountAPI + "."
	}
	js, err := jetstream.NewWithAPIPrefix(nc, api)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Degraded == nil {
		o.Degraded = func() error { return nil }
	}
	l := &Log{
		nc: nc, js: js, logger: o.Logger, batches: make(chan struct{}, maxOpenBatches), embedded: o.Embedded, degraded: o.Degraded,
		lastFailure: new(lastFailure), unreadable: new(unreadables), api: api, user: o.User, announces: o.announces, denied: o.denied,
		creates: o.User == "" || o.setup,
	}
	if l.announces {
		return l, nil
	}
	if err := l.ensureStream(ctx, max(1, o.Replicas)); err != nil {
		return nil, fmt.Errorf("open the event log at %s: %w", nc.ConnectedUrlRedacted(), err)
	}
	return l, nil
}

// ensureStream finds or creates the stream. A cluster that has no leader yet never answers, so the request is repeated.
func (l *Log) ensureStream(ctx context.Context, replicas int) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := l.findOrCreateStream(attempt, replicas)
		cancel()
		missing := !l.creates && errors.Is(err, jetstream.ErrStreamNotFound)
		switch {
		case verdict(err) != sendAgain && !missing, ctx.Err() != nil:
			return err
		case missing:
			l.logger.WarnContext(ctx, "the event log does not exist yet, and this program may not create it: `relay setup` does; looking again", "after", setupPause)
		default:
			l.logger.WarnContext(ctx, "the NATS server does not answer for JetStream; the request is repeated", "error", err)
			continue
		}
		select {
		case <-time.After(setupPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (l *Log) findOrCreateStream(ctx context.Context, replicas int) error {
	s, err := l.js.Stream(ctx, Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && l.creates {
		s, err = l.js.CreateStream(ctx, streamConfig(replicas))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = l.js.Stream(ctx, Stream)
		}
	}
	if err == nil {
		l.made = s.CachedInfo().Created
	}
	return err
}

// Replicas returns the stream's replica count; KV buckets beside it should use the same.
func (l *Log) Replicas(ctx context.Context) (int, error) {
	_, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("read the replica count of the event log: %w", err)
	}
	return max(1, info.Config.Replicas), nil
}

// JetStream returns the log's JetStream, for streams and consumers beside it.
func (l *Log) JetStream() jetstream.JetStream { return l.js }

// Size returns the number of records in the log and the bytes they take.
func (l *Log) Size(ctx context.Context) (count, bytes uint64, err error) {
	_, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	return info.State.Msgs, info.State.Bytes, nil
}

// Pipelines returns the names of the configured pipelines, sorted.
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

// SequenceAt returns the sequence of the last record at or before t, 0 if there is no such record. Where the server's clock was set
// back, a time occurs twice, and the result is off by at most the time it was set back.
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
			return 0, fmt.Errorf("find the events of %s: %w", t.Format(time.RFC3339), err)
		}
		if m.Time.After(t) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from - 1, nil
}
