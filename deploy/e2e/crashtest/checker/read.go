package checker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const stream = "EVENTS"

// Log is the log of a stopped Millrace: a copy of its folder, served by a plain
// NATS server.
type Log struct {
	// Events are all of them, in order.
	Events []Event
	server *server.Server
	nc     *nats.Conn
	dir    string
}

// Open copies the log's folder and reads it. The caller closes it.
func Open(ctx context.Context, dir string) (_ *Log, err error) {
	l := &Log{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("read the log in %s: %w", dir, err), l.Close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", "millrace-log-"); err != nil {
		return nil, err
	}
	if err := os.CopyFS(l.dir, os.DirFS(dir)); err != nil {
		return nil, err
	}
	l.server, err = server.NewServer(&server.Options{
		ServerName: "checker", DontListen: true, JetStream: true, StoreDir: l.dir, NoSigs: true, NoLog: true, JetStreamMaxStore: 1 << 50,
	})
	if err != nil {
		return nil, err
	}
	l.server.Start()
	if !l.server.ReadyForConnections(time.Minute) {
		return nil, errors.New("the NATS server does not start")
	}
	if l.nc, err = nats.Connect("", nats.InProcessServer(l.server)); err != nil {
		return nil, err
	}
	return l, l.read(ctx)
}

// Connect reads the log that a running NATS server at url has. The caller
// closes it.
func Connect(ctx context.Context, url string, options ...nats.Option) (_ *Log, err error) {
	l := &Log{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("read the log at %s: %w", url, err), l.Close())
		}
	}()
	if l.nc, err = nats.Connect(url, append(options, nats.Timeout(10*time.Second))...); err != nil {
		return nil, err
	}
	return l, l.read(ctx)
}

// Close ends the server and removes the copy.
func (l *Log) Close() error {
	if l.nc != nil {
		l.nc.Close()
	}
	if l.server != nil {
		l.server.Shutdown()
		l.server.WaitForShutdown()
	}
	if l.dir == "" {
		return nil
	}
	return os.RemoveAll(l.dir)
}

func (l *Log) read(ctx context.Context) error {
	js, err := jetstream.New(l.nc)
	if err != nil {
		return err
	}
	c, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	left := c.CachedInfo().NumPending
	it, err := c.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	for ; left > 0; left-- {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		e, err := decode(&nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}, meta.Sequence.Stream, meta.Timestamp)
		if err != nil {
			return fmt.Errorf("event %d: %w", meta.Sequence.Stream, err)
		}
		l.Events = append(l.Events, e)
	}
	return nil
}

// Again publishes every event once more, past all of Millrace, as anyone with a
// NATS client could, and reports each one that the stream takes.
func (l *Log) Again(ctx context.Context) ([]Violation, error) {
	js, err := jetstream.New(l.nc)
	if err != nil {
		return nil, err
	}
	var out []Violation
	for _, e := range l.Events {
		m := nats.NewMsg(e.Subject)
		m.Data = e.Data
		for name, v := range e.Attributes {
			m.Header["ce-"+name] = []string{v}
		}
		ack, err := js.PublishMsg(ctx, m)
		if err == nil {
			out = append(out, Violation{Sequence: ack.Sequence, Rule: "one event a subject", What: "the stream took " + e.Subject + " a second time"})
		} else if _, refused := errors.AsType[*jetstream.APIError](err); !refused {
			return nil, err
		}
	}
	return out, nil
}
