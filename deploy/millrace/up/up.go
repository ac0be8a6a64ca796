// Package up runs the whole of Millrace in one process: the event log
// embedded, the artifacts in a folder, every function beside every other, one
// address for all that is answered.
//
// The functions are the same as on a cluster and know nothing of each other
// here either: they hear the log, by pull, through the same triggers.
package up

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/functions/gateway"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/shared/telemetry"
)

// Options of a system in one process.
type Options struct {
	// Dir holds everything: the log, the artifacts, the runs.
	Dir string
	// Pipelines are folders: of a pipeline, or of pipelines.
	Pipelines []string
	// Listen is the address of all that is answered; port 0 chooses one.
	// Where other machines reach it, a token is required.
	Listen string
	// Token must come with every request but that for /healthz; TokenFile is
	// a file that holds it. Nobody needs one without.
	Token, TokenFile string
	// TLSCert and TLSKey are PEM files; with them all is answered over TLS.
	TLSCert, TLSKey string
	// NATS is the URL of an external server, "" for the embedded one.
	NATS string
	// Replicas is on how many of the external servers the log is kept, when it
	// is made; 1 if 0.
	Replicas int
	// Artifacts is the URL of an artifact store elsewhere, "" for Dir.
	Artifacts string
	// SyncAlways writes the embedded log through to the disk at each append.
	SyncAlways bool
	// Drain bounds the time from the end of ctx to the end of Run.
	Drain time.Duration
	// Retry of failed handlings; the runtime's own when zero.
	Retry  function.Retry
	Logger *slog.Logger
	// Started is called once everything answers, with the URL.
	Started func(url string)
	// Version is told by /api/status.
	Version string
}

// system is what Run has started.
type system struct {
	options   Options
	logger    *slog.Logger
	nc        *nats.Conn
	trouble   func() error // of the embedded log
	log       *eventlog.Log
	states    *state.Store
	artifacts *artifact.Store
	registry  *prometheus.Registry
	room      *function.Room
	functions []part
	// replays is what replays of past decisions work with.
	replays  function.Deps
	token    function.Token
	tls      *tls.Config
	local    bool // only this machine reaches the address
	teardown []step
}

// step ends one thing that was started.
type step struct {
	name string
	stop func(context.Context) error
}

func (s *system) onStop(name string, stop func(context.Context) error) {
	s.teardown = append(s.teardown, step{name, stop})
}

// stop undoes in the opposite order what was started.
func (s *system) stop(ctx context.Context) error {
	var errs []error
	for _, t := range slices.Backward(s.teardown) {
		if err := t.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", t.name, err))
		}
	}
	return errors.Join(errs...)
}

// Run runs the system until ctx ends, then drains it.
func Run(ctx context.Context, o Options) (err error) {
	s := &system{options: o, logger: o.Logger, registry: telemetry.Registry(), room: function.NewRoom()}
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
		defer cancel()
		err = errors.Join(err, s.stop(drain))
	}()
	pipelines, err := loadPipelines(o.Pipelines)
	if err := errors.Join(err, s.security()); err != nil {
		return err
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	if err := s.openStores(ctx); err != nil {
		return err
	}
	if err := s.makeFunctions(ctx); err != nil {
		return err
	}
	for _, p := range pipelines {
		if err := gateway.Configure(ctx, function.Deps{Log: s.log, States: s.states, Artifacts: s.artifacts}, p); err != nil {
			return err
		}
	}
	served := s.serve(ctx, listener)
	if err := s.startFunctions(ctx); err != nil {
		return err
	}
	if err := s.startCron(ctx); err != nil {
		return err
	}
	if o.Started != nil {
		o.Started(s.url(listener))
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	}
}

// listen takes the address first: whoever asks before the functions are there
// waits, and is not refused.
func (s *system) listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.options.Listen, err)
	}
	s.onStop("listener", func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

func (s *system) openStores(ctx context.Context) error {
	if err := os.MkdirAll(s.options.Dir, 0o750); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	open, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if s.log, err = eventlog.Open(open, s.nc, eventlog.Options{Logger: s.logger, Replicas: s.options.Replicas, Trouble: s.trouble, Own: s.options.NATS == ""}); err != nil {
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
	s.onStop("artifact store", func(context.Context) error { return s.artifacts.Close() })
	return nil
}

func (s *system) connect(ctx context.Context) error {
	if s.options.NATS == "" {
		server, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(s.options.Dir, "log"), SyncAlways: s.options.SyncAlways, Logger: s.logger})
		if err != nil {
			return err
		}
		s.onStop("event log", func(context.Context) error { server.Close(); return nil })
		s.nc, s.trouble = server.Conn(), server.Trouble
		return nil
	}
	nc, err := eventlog.Connect(s.options.NATS, nats.Name("millrace"), nats.ReconnectWait(500*time.Millisecond))
	if err != nil {
		return fmt.Errorf("reach the NATS server at %s: %w; start it with JetStream (nats-server -js), or leave --nats out to use the embedded one", eventlog.Address(s.options.NATS), err)
	}
	s.onStop("NATS connection", func(context.Context) error { nc.Close(); return nil })
	s.nc = nc
	return nil
}

func (s *system) deps(name string) (function.Deps, error) {
	dir := filepath.Join(s.options.Dir, "work", name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return function.Deps{}, fmt.Errorf("make the working folder of %s: %w", name, err)
	}
	return function.Deps{
		Log: s.log, States: s.states, Artifacts: s.artifacts, Metrics: s.registry, Dir: dir, Room: s.room,
		Logger: s.logger.With("function", name),
	}, nil
}

// serve answers on the listener, over TLS if there is a certificate.
func (s *system) serve(ctx context.Context, l net.Listener) <-chan error {
	server := &http.Server{
		Handler: newDoor(s.token, s.local, s.routes()), TLSConfig: s.tls, Protocols: function.Protocols(), ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() {
		serve := server.Serve
		if s.tls != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	s.onStop("server", server.Shutdown)
	return failed
}
