package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
	"millrace.dev/shared/telemetry"
)

// Settings are what every deployed function reads from its environment.
type Settings struct {
	eventlog.Server

	// Artifacts is the URL of the artifact store.
	Artifacts string `env:"MILLRACE_ARTIFACTS,required"`
	// Dir is the working folder.
	Dir string `env:"MILLRACE_DIR" envDefault:"/tmp/millrace"`
	// Listen is where health, metrics and HTTP are answered. Knative says PORT.
	Listen string `env:"MILLRACE_LISTEN" envDefault:"127.0.0.1:8080"`
	Port   string `env:"PORT"`
	// Service is set by Knative: events are then pushed by a broker.
	Service string `env:"K_SERVICE"`
	// Drain bounds the time from SIGTERM to the end.
	Drain time.Duration `env:"MILLRACE_DRAIN" envDefault:"25s"`
	Log   string        `env:"MILLRACE_LOG" envDefault:"info"`
}

// Storeless is a function's configuration that says that it reads and writes
// no artifacts: Main opens no store for it, Deps.Artifacts is nil, and its
// program need not link one.
type Storeless interface{ Storeless() }

// Main runs a function as a program: it reads the environment, connects,
// receives events by push on Knative and by pull elsewhere, answers /healthz,
// /readyz and /metrics, and drains at SIGTERM. It returns the exit code.
func Main[C interface{ Validate() error }, F Function](name string, build func(C, Deps) (F, error)) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, name, build); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", name, err)
		return 1
	}
	return 0
}

func run[C interface{ Validate() error }, F Function](ctx context.Context, name string, build func(C, Deps) (F, error)) (err error) {
	settings, err := env.ParseAs[Settings]()
	config, configErr := env.ParseAs[C]()
	if configErr == nil {
		configErr = config.Validate()
	}
	if err := errors.Join(err, configErr); err != nil {
		return fmt.Errorf("the environment: %w", err)
	}
	logger := telemetry.Logger(os.Stderr, settings.Log, settings.Service != "").With("function", name)

	var teardown []func() error
	defer func() {
		for _, stop := range slices.Backward(teardown) {
			err = errors.Join(err, stop())
		}
	}()
	traces, stopTraces, err := telemetry.Traces(ctx, name)
	if err != nil {
		return err
	}
	teardown = append(teardown, stopTraces)
	if _, without := any(config).(Storeless); without {
		settings.Artifacts = ""
	}
	deps, closeDeps, err := connect(ctx, name, settings, logger)
	if err != nil {
		return err
	}
	teardown = append(teardown, closeDeps)
	deps.Traces = traces
	registry := telemetry.Registry()
	deps.Metrics = registry

	f, err := build(config, deps)
	if err != nil {
		return err
	}
	start := Start
	if settings.Service != "" {
		start = prepare
	}
	in, err := start(ctx, name, f, deps, StartOptions{})
	if err != nil {
		return err
	}
	return serve(ctx, in, settings, registry, logger)
}

func connect(ctx context.Context, name string, s Settings, logger *slog.Logger) (Deps, func() error, error) {
	log, nc, err := s.Open(ctx, "millrace-"+name, logger)
	if err != nil {
		return Deps{}, nil, err
	}
	states, err := state.NewStore(ctx, log, logger)
	if err != nil {
		nc.Close()
		return Deps{}, nil, err
	}
	dir := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		nc.Close()
		return Deps{}, nil, err
	}
	deps := Deps{Log: log, States: states, Logger: logger, Dir: dir}
	if s.Artifacts == "" {
		return deps, func() error { nc.Close(); return nil }, nil
	}
	deps.Artifacts, err = artifact.OpenStore(ctx, s.Artifacts, filepath.Join(s.Dir, "artifacts"))
	if err != nil {
		nc.Close()
		return Deps{}, nil, err
	}
	closeAll := func() error {
		err := deps.Artifacts.Close()
		nc.Close()
		return err
	}
	return deps, closeAll, nil
}

// serve answers until ctx ends, then drains.
func serve(ctx context.Context, in *Instance, s Settings, registry *prometheus.Registry, logger *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := in.Ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	in.Routes(mux)
	address := s.Listen
	if s.Service != "" {
		if s.Port != "" {
			address = ":" + s.Port
		}
		if _, answers := in.function.(Server); !answers {
			mux.Handle("/", in.Receiver())
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), in.Stop(ctx))
	}
	server := &http.Server{Handler: Plain(mux), Protocols: Protocols(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	logger.Info("started", "listen", listener.Addr().String(), "hears", in.runtime.mux.Types())
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
	defer cancel()
	logger.Info("stopping")
	return errors.Join(err, server.Shutdown(drain), in.Stop(drain))
}
