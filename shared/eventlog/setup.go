package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// AccountAPI is the prefix under which a program with an account of its own reaches the JetStream API of the log's account:
// $JS.API itself is its own account's, which has no JetStream.
const AccountAPI = "LOG.API"

// setupPause is the pause between two looks at a log that does not exist yet.
const setupPause = time.Second

// streamConfig is the log's.
func streamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
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
	}
}

// The stream that takes events from outside until the gateway has appended them to the log, and its subjects.
const (
	Inbox         = "INBOX"
	InboxSubjects = "millrace.inbox.>"
)

func inboxConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: Inbox, Description: "Events from outside, until the gateway has taken them into the log",
		Subjects: []string{InboxSubjects}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Replicas: replicas,
	}
}

// Bucket is a KV bucket beside the log. What it holds may be lost at any time.
type Bucket struct {
	Name, About string
	// Keeps is how long an entry is kept after its last change; 0 is for ever.
	Keeps time.Duration
}

// The buckets beside the log.
var (
	// States has folds: under Log.OwnKey, since a fold is believed by who reads it.
	States = Bucket{Name: "STATES", About: "Millrace's cached states; may be deleted at any time"}
	// Attempts has keys that begin with the function.
	Attempts = Bucket{Name: "ATTEMPTS", About: "How often the handling of an event was started by a function, from the second time on", Keeps: 7 * 24 * time.Hour}
	// Tails has keys that begin with the pipeline.
	Tails = Bucket{Name: "TAILS", About: "The last lines of the logs of runs under way", Keeps: 7 * 24 * time.Hour}
)

// Buckets are all buckets beside the log.
func Buckets() []Bucket { return []Bucket{States, Attempts, Tails} }

func (b Bucket) config(replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{Bucket: b.Name, Description: b.About, History: 1, TTL: b.Keeps, Replicas: replicas}
}

// Setup creates the log and everything beside it: the inbox and the buckets. What exists is left as it is. Programs whose
// users have accounts of their own cannot do this themselves: who may create a stream may also create one that copies into
// the log.
func (s Server) Setup(ctx context.Context, name string, logger *slog.Logger) error {
	log, nc, err := s.open(ctx, name, Options{Replicas: s.Replicas, User: s.User, setup: true, Logger: logger})
	if err != nil {
		return err
	}
	defer nc.Close()
	replicas, err := log.Replicas(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if err := log.createInbox(ctx, replicas); err != nil {
		errs = append(errs, err)
	}
	for _, b := range Buckets() {
		if _, err := log.js.CreateKeyValue(ctx, b.config(replicas)); err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
			errs = append(errs, fmt.Errorf("create the bucket %s: %w", b.Name, err))
		}
	}
	return errors.Join(errs...)
}

// createInbox creates the stream Inbox unless it exists: the operator may have set other limits on an existing one.
func (l *Log) createInbox(ctx context.Context, replicas int) error {
	if _, err := l.js.CreateStream(ctx, inboxConfig(replicas)); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("create the inbox: %w", err)
	}
	return nil
}

// OpenInbox returns the inbox's stream, and creates it if this program may and it does not exist.
func (l *Log) OpenInbox(ctx context.Context) (jetstream.Stream, error) {
	if l.creates {
		replicas, err := l.Replicas(ctx)
		if err == nil {
			err = l.createInbox(ctx, replicas)
		}
		if err != nil {
			return nil, err
		}
	}
	s, err := l.js.Stream(ctx, Inbox)
	if err != nil {
		return nil, fmt.Errorf("open the inbox: %w", err)
	}
	return s, nil
}

// Bucket opens a bucket, and creates it if this program may and it does not exist.
func (l *Log) Bucket(ctx context.Context, b Bucket) (jetstream.KeyValue, error) {
	if !l.creates {
		kv, err := l.js.KeyValue(ctx, b.Name)
		if err != nil {
			return nil, fmt.Errorf("open the bucket %s, which `relay setup` makes: %w", b.Name, err)
		}
		return kv, nil
	}
	replicas, err := l.Replicas(ctx)
	if err != nil {
		return nil, err
	}
	return l.js.CreateOrUpdateKeyValue(ctx, b.config(replicas))
}

// Entries returns the values of a bucket, at most so many. It reads the stream of the bucket by a consumer, which needs less
// of a program's user than to watch the bucket does.
func (l *Log) Entries(ctx context.Context, b Bucket, most int) (values [][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, entriesWithin)
	defer cancel()
	_, err = l.js.Stream(ctx, "KV_"+b.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil // nothing was put
	}
	if err != nil {
		return nil, err
	}
	c, err := l.js.OrderedConsumer(ctx, "KV_"+b.Name, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy})
	if err != nil {
		return nil, err
	}
	info, err := c.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return nil, err
	}
	it, err := c.Messages()
	if err != nil {
		return nil, err
	}
	defer it.Stop()
	for len(values) < most {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		if m.Headers().Get("KV-Operation") == "" {
			values = append(values, m.Data())
		}
		if meta.NumPending == 0 {
			break
		}
	}
	return values, nil
}

// entriesWithin bounds how long a bucket is read: an entry that expires while it is read is not delivered.
const entriesWithin = 5 * time.Second

// Put sets the bucket's key. It does not read the bucket where programs have users of their own: such a program may have the
// right to write a key and to read none.
func (l *Log) Put(ctx context.Context, b Bucket, key, value string) error {
	if l.creates {
		kv, err := l.Bucket(ctx, b)
		if err == nil {
			_, err = kv.PutString(ctx, key, value)
		}
		return err
	}
	_, err := l.js.Publish(ctx, l.api+"$KV."+b.Name+"."+key, []byte(value))
	return err
}

// OwnKey returns the key under which this program alone may write.
func (l *Log) OwnKey(key string) string {
	if l.user == "" {
		return key
	}
	return l.user + "." + key
}
