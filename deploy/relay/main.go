package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/telemetry"
)

// Settings are what the deployed relay reads from its environment.
type Settings struct {
	eventlog.Server

	// Broker is the URL of the broker's ingress, with namespace and name. On
	// Kubernetes a SinkBinding says it by Sink, whatever the broker's class.
	Broker string `env:"MILLRACE_BROKER"`
	Sink   string `env:"K_SINK"`
	// Window, Attempts, First and Max are those of Options.
	Window   int           `env:"MILLRACE_RELAY_WINDOW" envDefault:"256"`
	Attempts int           `env:"MILLRACE_RELAY_ATTEMPTS" envDefault:"6"`
	First    time.Duration `env:"MILLRACE_RELAY_FIRST_PAUSE" envDefault:"1m"`
	Max      time.Duration `env:"MILLRACE_RELAY_MAX_PAUSE" envDefault:"10m"`
	// Listen is where health and metrics are answered.
	Listen string `env:"MILLRACE_LISTEN" envDefault:"127.0.0.1:8080"`
	// Drain bounds the time from SIGTERM to the end.
	Drain time.Duration `env:"MILLRACE_DRAIN" envDefault:"25s"`
	Log   string        `env:"MILLRACE_LOG" envDefault:"info"`
}

// Validate reports every mistake in the settings at once.
func (s Settings) Validate() error {
	var errs []error
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"MILLRACE_RELAY_WINDOW", s.Window >= 1 && s.Window <= 10_000, "a number of events from 1 to 10000"},
		{"MILLRACE_RELAY_ATTEMPTS", s.Attempts >= 1, "a number of sendings, at least 1"},
		{"MILLRACE_RELAY_FIRST_PAUSE", s.First > 0, "a time such as 1m"},
		{"MILLRACE_RELAY_MAX_PAUSE", s.Max >= s.First, "a time that is not shorter than MILLRACE_RELAY_FIRST_PAUSE"},
	} {
		if !v.ok {
			errs = append(errs, fmt.Errorf("%s must be %s", v.name, v.want))
		}
	}
	if s.broker() == "" {
		errs = append(errs, errors.New("MILLRACE_BROKER is not set, and no SinkBinding has said K_SINK: one of them is the URL of the broker's ingress"))
	} else if _, err := (Options{Broker: s.broker()}).withDefaults(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s Settings) broker() string { return cmp.Or(s.Broker, s.Sink) }

// Main runs the relay as a program: it reads the environment, connects, answers
// /healthz, /readyz and /metrics, relays, and drains at SIGTERM. It returns the
// exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "relay: error: %v\n", err)
		return 1
	}
	return 0
}

func run(ctx context.Context) error {
	s, err := env.ParseAs[Settings]()
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return fmt.Errorf("the environment: %w", err)
	}
	logger := telemetry.Logger(os.Stderr, s.Log, os.Getenv("KUBERNETES_SERVICE_HOST") != "").With("part", "relay")
	log, nc, err := s.Open(ctx, "millrace-relay", logger)
	if err != nil {
		return err
	}
	defer nc.Close()
	registry := telemetry.Registry()
	r, err := New(log, Options{
		Broker: s.broker(), Window: s.Window, Attempts: s.Attempts, First: s.First, Max: s.Max, Logger: logger, Metrics: registry,
	})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, q *http.Request) {
		if err := r.Ready(q.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: function.Plain(mux), ReadHeaderTimeout: 10 * time.Second}
	// Whichever of the two ends first takes the other along.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- server.Serve(listener)
	}()
	logger.Info("started", "listen", listener.Addr().String(), "broker", s.broker(), "lanes", len(r.lanes))
	err = r.Run(ctx)
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
	defer done()
	err = errors.Join(err, server.Shutdown(drain))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve health and metrics: %w", e))
	}
	return err
}
