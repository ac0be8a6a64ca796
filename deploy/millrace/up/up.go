// Package up runs the whole of Millrace in one process, with an embedded event
// log, a folder of artifacts, all functions and one address.
//
// The functions are those of a cluster and as independent of each other: each
// pulls its events from the log, through the same triggers.
package up

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/functions/gateway"
	"millrace.dev/shared/access"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/function"
	"millrace.dev/shared/service"
	"millrace.dev/shared/state"
	"millrace.dev/shared/telemetry"
)

// Options configure a system in one process.
type Options struct {
	// Dir holds everything: the log, the artifacts, the runs.
	Dir string
	// Pipelines are folders of one or several pipelines.
	Pipelines []string
	// Listen is the address to listen on; port 0 chooses a free one. If other
	// machines can reach it, a token is required.
	Listen string
	// Token has every role; TokenFile is a file that holds it. If both are empty
	// and only this machine can connect, the token is in the file TokenFile of
	// Dir, which is made at the first start.
	Token, TokenFile string
	// Access is a file of named tokens; the file AccessFile of Dir by default.
	Access string
	// Anonymous are the roles of callers without a token. By default they are read
	// and predict if the token is that of Dir, and none otherwise.
	Anonymous []string
	// NoToken lets every caller do everything. Only this machine may then be able
	// to connect.
	NoToken bool
	// TLSCert and TLSKey are PEM files; set, they turn on TLS.
	TLSCert, TLSKey string
	// NATS is the URL of an external server, "" for the embedded one.
	NATS string
	// Replicas is the number of replicas of the log on external servers, used
	// when it is created; 0 means 1.
	Replicas int
	// Artifacts is the URL of an artifact store, "" for a folder in Dir.
	Artifacts string
	// SyncAlways syncs the embedded log to disk after each append.
	SyncAlways bool
	// Drain bounds the time from the end of ctx to the end of Run.
	Drain time.Duration
	// Retry configures retries of failed handlings; zero means the runtime's
	// defaults.
	Retry  function.Retry
	Logger *slog.Logger
	// Started is called with the system's URL once it is ready.
	Started func(url string)
	// Version is reported by /api/status.
	Version string
}

// system is what Run has started.
type system struct {
	options   Options
	logger    *slog.Logger
	service   *service.Service
	nc        *nats.Conn
	trouble   func() error // of the embedded log
	log       *eventlog.Log
	states    *state.Store
	artifacts *artifact.Store
	registry  *prometheus.Registry
	isolation *function.Isolation
	functions []part
	// gateway is one of the functions; cron sends its ticks through it.
	gateway *gateway.F
	guard   *access.Guard
	tls     *tls.Config
}

// Run runs the system until ctx ends, then drains it.
//
// It listens first, so that clients that connect while the log is read wait
// instead of being refused. It serves last, so that the server stops before the
// functions do and they can write what answered requests left to write.
func Run(ctx context.Context, o Options) (err error) {
	logger := o.Logger.With("component", "up")
	s := &system{
		options: o, logger: logger, service: service.New(logger, o.Drain), registry: telemetry.Registry(), isolation: function.NewIsolation(),
	}
	defer func() { err = errors.Join(err, s.service.Stop(ctx)) }()
	pipelines, err := loadPipelines(o.Pipelines)
	if err := errors.Join(err, s.security()); err != nil {
		return err
	}
	listener, err := s.service.Listen(ctx, o.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens on %s; stop that one, or choose another address with --listen", o.Listen)
	case err != nil:
		return err
	}
	if err := s.openStores(ctx); err != nil {
		return err
	}
	if err := s.makeFunctions(); err != nil {
		return err
	}
	for _, p := range pipelines {
		if err := gateway.Configure(ctx, function.Deps{Log: s.log, States: s.states, Artifacts: s.artifacts}, p); err != nil {
			return err
		}
	}
	if err := s.startFunctions(ctx); err != nil {
		return err
	}
	if err := s.startCron(ctx); err != nil {
		return err
	}
	s.service.Serve(ctx, listener, &http.Server{Handler: s.routes(), TLSConfig: s.tls})
	if o.Started != nil {
		o.Started(s.url(listener))
	}
	return s.service.Wait(ctx)
}

func (s *system) openStores(ctx context.Context) error {
	if err := os.MkdirAll(s.options.Dir, 0o700); err != nil {
		return fmt.Errorf("create the folder: %w", err)
	}
	// The data is the user's alone, also where an earlier program made the folders.
	for _, name := range []string{"artifacts", "cache", "log", "work"} {
		if err := os.Chmod(filepath.Join(s.options.Dir, name), 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	open, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if s.log, err = eventlog.Open(open, s.nc, eventlog.Options{Logger: s.logger, Replicas: s.options.Replicas, Degraded: s.trouble, Embedded: s.options.NATS == ""}); err != nil {
		return err
	}
	if s.states, err = state.NewStore(open, s.log, s.logger); err != nil {
		return err
	}
	url := s.options.Artifacts
	if url == "" {
		dir, err := filepath.Abs(filepath.Join(s.options.Dir, "artifacts"))
		if err != nil {
			return err
		}
		url = "file://" + filepath.ToSlash(dir) + "?create_dir=true"
	}
	if s.artifacts, err = artifact.OpenStore(ctx, url, filepath.Join(s.options.Dir, "cache")); err != nil {
		return err
	}
	s.service.OnStop("artifact store", func(context.Context) error { return s.artifacts.Close() })
	return nil
}

func (s *system) connect(ctx context.Context) error {
	if s.options.NATS == "" {
		server, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(s.options.Dir, "log"), SyncAlways: s.options.SyncAlways, Logger: s.logger})
		if err != nil {
			return err
		}
		s.service.OnStop("event log", func(context.Context) error { server.Close(); return nil })
		s.nc, s.trouble = server.Conn(), server.Trouble
		return nil
	}
	nc, err := eventlog.Connect(s.options.NATS, nats.Name("millrace"), nats.ReconnectWait(500*time.Millisecond))
	if err != nil {
		return fmt.Errorf("reach the NATS server at %s: %w; start it with JetStream (nats-server -js), or omit --nats to use the embedded one", eventlog.Address(s.options.NATS), err)
	}
	s.service.OnStop("NATS connection", func(context.Context) error { nc.Close(); return nil })
	s.nc = nc
	return nil
}

func (s *system) deps(name string) (function.Deps, error) {
	dir := filepath.Join(s.options.Dir, "work", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return function.Deps{}, fmt.Errorf("create the working folder of %s: %w", name, err)
	}
	return function.Deps{
		Log: s.log, States: s.states, Artifacts: s.artifacts, Metrics: s.registry, Dir: dir, Isolation: s.isolation, Guard: s.guard,
		Logger: s.options.Logger.With("component", name),
	}, nil
}
