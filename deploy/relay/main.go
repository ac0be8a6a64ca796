package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/caarlos0/env/v11"

	"millrace.dev/shared/access"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/service"
	"millrace.dev/shared/telemetry"
)

// Settings are what the deployed relay reads from its environment.
type Settings struct {
	eventlog.Server
	access.Settings

	// URL of the broker's ingress, with namespace and name.
	Broker string `env:"MILLRACE_BROKER"`
	// The same URL as a SinkBinding of Knative sets it, for a broker of any class.
	// One of the two is needed.
	Sink string `env:"K_SINK"`
	// How many events may be on their way at a time, from 1 to 10000.
	Window int `env:"MILLRACE_RELAY_WINDOW" envDefault:"256" unit:"events"`
	// How often an event is sent before it becomes a dead letter.
	Attempts int `env:"MILLRACE_RELAY_ATTEMPTS" envDefault:"6" unit:"attempts"`
	// How long the relay waits for a record before it sends an event again. Each
	// later pause is four times as long.
	First time.Duration `env:"MILLRACE_RELAY_FIRST_PAUSE" envDefault:"1m"`
	// The longest pause between two attempts.
	Max time.Duration `env:"MILLRACE_RELAY_MAX_PAUSE" envDefault:"10m"`
	// The address on which health and metrics are answered.
	Listen string `env:"MILLRACE_LISTEN" envDefault:"127.0.0.1:8080"`
	// An address on which /metrics alone is answered, without a token, such as
	// :9102. On the common address it needs the role read.
	MetricsListen string `env:"MILLRACE_METRICS_LISTEN"`
	// How long the program may take to finish what it handles, from SIGTERM to its
	// end.
	Drain time.Duration `env:"MILLRACE_DRAIN" envDefault:"25s"`
	// What is logged on standard error: debug, info, warn or error.
	Log string `env:"MILLRACE_LOG" envDefault:"info"`
}

// Validate reports every mistake in the settings at once.
func (s Settings) Validate() error {
	errs := []error{s.Settings.Validate()}
	for _, v := range []struct {
		name string
		got  any
		ok   bool
		want string
	}{
		{"MILLRACE_RELAY_WINDOW", s.Window, s.Window >= 1 && s.Window <= 10_000, "a number of events from 1 to 10000"},
		{"MILLRACE_RELAY_ATTEMPTS", s.Attempts, s.Attempts >= 1, "a number of requests, at least 1"},
		{"MILLRACE_RELAY_FIRST_PAUSE", s.First, s.First > 0, "a time such as 1m"},
		{"MILLRACE_RELAY_MAX_PAUSE", s.Max, s.Max >= s.First, "a time that is not shorter than MILLRACE_RELAY_FIRST_PAUSE"},
	} {
		if !v.ok {
			errs = append(errs, fmt.Errorf("%s is %v; it must be %s", v.name, v.got, v.want))
		}
	}
	if s.broker() == "" {
		errs = append(errs, errors.New("neither MILLRACE_BROKER nor K_SINK (from a SinkBinding) is set: one of them must be the URL of the broker's ingress"))
	} else if _, err := (Options{Broker: s.broker()}).withDefaults(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s Settings) broker() string { return cmp.Or(s.Broker, s.Sink) }

// Main runs the relay as a program: it reads the environment, connects, answers
// /healthz, /readyz and /metrics, relays, and drains at SIGTERM. It returns the
// exit code. With the argument setup it creates the log and what stands beside it, and ends.
func Main() int {
	if len(os.Args) == 2 && os.Args[1] == "setup" {
		return service.Main("relay setup", setup)
	}
	return service.Main("relay", run)
}

// setup is for an installation whose programs may not create streams. The relay is where it is because an installation has
// one, which starts before events flow.
func setup(ctx context.Context) error {
	s, err := env.ParseAs[eventlog.Server]()
	if err != nil {
		return fmt.Errorf("the environment: %w", err)
	}
	return s.Setup(ctx, "millrace-setup", telemetry.Logger(os.Stderr, "info").With("component", "setup"))
}

func run(ctx context.Context) (err error) {
	s, err := env.ParseAs[Settings]()
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return fmt.Errorf("the environment: %w", err)
	}
	logger := telemetry.Logger(os.Stderr, s.Log).With("component", "relay")
	life := service.New(logger, s.Drain)
	defer func() { err = errors.Join(err, life.Stop(ctx)) }()
	log, nc, err := s.Open(ctx, "millrace-relay", logger)
	if err != nil {
		return err
	}
	life.OnStop("NATS connection", func(context.Context) error { nc.Close(); return nil })
	registry := telemetry.Registry()
	r, err := New(log, Options{
		Broker: s.broker(), Window: s.Window, Attempts: s.Attempts, First: s.First, Max: s.Max, Logger: logger, Metrics: registry,
	})
	if err != nil {
		return err
	}
	guard, err := access.New(s.Settings, access.Options{Local: access.LocalAddress(s.Listen), Logger: logger, Metrics: registry})
	if err != nil {
		return fmt.Errorf("the environment: %w", err)
	}
	listener, err := life.Listen(ctx, s.Listen)
	if err != nil {
		return err
	}
	start(ctx, life, r)
	mux := access.NewMux(guard)
	service.Health(mux, registry, r.Ready)
	if err := life.Metrics(ctx, s.MetricsListen, registry); err != nil {
		return err
	}
	life.Serve(ctx, listener, &http.Server{Handler: mux})
	logger.InfoContext(ctx, "started", "listen", listener.Addr().String(), "broker", s.broker(), "lanes", len(r.lanes))
	return life.Wait(ctx)
}

// start relays until the service stops.
func start(ctx context.Context, life *service.Service, r *Relay) {
	relaying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(relaying); err != nil {
			life.Fail(err)
		}
	}()
	life.OnStop("relay", func(ctx context.Context) error {
		cancel()
		select {
		case <-ended: // Fail has reported an error
			return nil
		case <-ctx.Done():
			return fmt.Errorf("events are still being sent; they are sent again: %w", ctx.Err())
		}
	})
}
