package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// Server is where a deployed program finds the log, read from its environment.
type Server struct {
	// NATS is the server of the event log; Credentials a file for it.
	NATS        string `env:"MILLRACE_NATS,required"`
	Credentials string `env:"MILLRACE_NATS_CREDENTIALS"`
	Replicas    int    `env:"MILLRACE_LOG_REPLICAS" envDefault:"1"`
}

// Open connects under the name, waiting for the server if it is away, and
// opens the log. The connection is the caller's to close.
func (s Server) Open(ctx context.Context, name string, logger *slog.Logger) (*Log, *nats.Conn, error) {
	options := []nats.Option{nats.Name(name), nats.RetryOnFailedConnect(true)}
	if s.Credentials != "" {
		options = append(options, nats.UserCredentials(s.Credentials))
	}
	nc, err := Connect(s.NATS, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS at %s: %w", Address(s.NATS), err)
	}
	log, err := Open(ctx, nc, Options{Replicas: s.Replicas, Logger: logger})
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return log, nc, nil
}

// Connect connects to a NATS server, or to one of several (commas between
// their URLs). The connection is made again whenever it breaks. What may be
// secret in the URLs is in no error.
func Connect(urls string, options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(urls, append([]nats.Option{nats.MaxReconnects(-1)}, options...)...)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, errors.New("a NATS server's URL is none; write nats://host:port" + strings.Repeat(" and percent-encode the password", min(1, strings.Count(e.URL, "@"))))
	}
	return nc, err
}

// Address is where the URLs lead, for people: without users and passwords.
func Address(urls string) string {
	var out []string
	for raw := range strings.SplitSeq(urls, ",") {
		raw = strings.TrimSpace(raw)
		scheme, rest, found := strings.Cut(raw, "://")
		if !found {
			scheme, rest = "nats", raw
		}
		rest, _, _ = strings.Cut(rest, "/")
		rest, _, _ = strings.Cut(rest, "?")
		out = append(out, scheme+"://"+rest[strings.LastIndex(rest, "@")+1:])
	}
	return strings.Join(out, ",")
}
