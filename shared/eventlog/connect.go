package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Server is where a deployed program finds the log, read from its environment.
type Server struct {
	// URL of the NATS server that keeps the event log, or of several with commas
	// between them: nats://host:port.
	NATS string `env:"MILLRACE_NATS,required"`
	// A file with NATS credentials (.creds). Empty for none.
	Credentials string `env:"MILLRACE_NATS_CREDENTIALS"`
	// The program's user of the NATS server, whose account has the rights of this
	// program only (deploy/knative/base/accounts.conf). The log has to exist then.
	// Empty where the program may do everything.
	User string `env:"MILLRACE_NATS_USER"`
	// The seed of that user's nkey.
	Seed string `env:"MILLRACE_NATS_SEED"`
	// On how many servers the log is kept, when this program creates it: 1, 3 or
	// 5.
	Replicas int `env:"MILLRACE_LOG_REPLICAS" envDefault:"1" unit:"servers"`
}

// Open connects under the name, waiting for the server if it is unreachable, and opens the log. The caller closes the
// connection.
func (s Server) Open(ctx context.Context, name string, logger *slog.Logger) (*Log, *nats.Conn, error) {
	return s.open(ctx, name, Options{Replicas: s.Replicas, User: s.User, Logger: logger})
}

// OpenToAnnounce is Open for a program that only emits events with causes of their own, such as a run's sidecar. With
// a user of its own it neither reads the log nor looks whether it exists.
func (s Server) OpenToAnnounce(ctx context.Context, name string, logger *slog.Logger) (*Log, *nats.Conn, error) {
	return s.open(ctx, name, Options{Replicas: s.Replicas, User: s.User, announces: s.User != "", Logger: logger})
}

func (s Server) open(ctx context.Context, name string, o Options) (*Log, *nats.Conn, error) {
	o.denied = new(denied)
	options := []nats.Option{nats.Name(name), nats.RetryOnFailedConnect(true), nats.ErrorHandler(o.denied.handler(o.Logger)), nats.ReconnectErrHandler(unreachable(o.Logger))}
	if s.Credentials != "" {
		options = append(options, nats.UserCredentials(s.Credentials))
	}
	if s.Seed != "" {
		key, err := nkey(s.Seed)
		if err != nil {
			return nil, nil, err
		}
		options = append(options, key)
	}
	nc, err := Connect(s.NATS, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS at %s: %w", Address(s.NATS), err)
	}
	log, err := Open(ctx, nc, o)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return log, nc, nil
}

// unreachable returns what a connection calls when it could not connect: a wrong password or key is not told to any request.
func unreachable(logger *slog.Logger) nats.ConnErrHandler {
	if logger == nil {
		logger = slog.Default()
	}
	return func(_ *nats.Conn, err error) {
		logger.WarnContext(context.Background(), "the NATS server cannot be reached; trying again", "error", err)
	}
}

// nkey returns the option to log in with the seed, which no error contains.
func nkey(seed string) (nats.Option, error) {
	key, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, errors.New("MILLRACE_NATS_SEED is not the seed of an nkey: it begins with SU, as `millrace deploy` makes it")
	}
	public, err := key.PublicKey()
	return nats.Nkey(public, key.Sign), err
}

// Connect connects to a NATS server, or to one of several (commas between their URLs), and reconnects for ever. Errors do
// not contain the URLs, which may hold passwords.
func Connect(urls string, options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(urls, append([]nats.Option{nats.MaxReconnects(-1)}, options...)...)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, errors.New("invalid NATS URL: use nats://host:port" + strings.Repeat(" and percent-encode the password", min(1, strings.Count(e.URL, "@"))))
	}
	return nc, err
}

// Address returns the URLs without users and passwords, for messages.
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
