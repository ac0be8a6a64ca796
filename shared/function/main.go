package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/shared/access"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/service"
	"millrace.dev/shared/state"
	"millrace.dev/shared/telemetry"
)

// Settings are what every deployed function reads from its environment.
type Settings struct {
	eventlog.Server
	access.Settings

	// URL of the artifact store: file:///path, s3://bucket, gs://bucket or
	// azblob://container.
	Artifacts string `env:"MILLRACE_ARTIFACTS,required"`
	// The working folder: caches, and batches of the prediction log that wait for
	// the object store.
	Dir string `env:"MILLRACE_DIR" envDefault:"/tmp/millrace"`
	// The address on which health, metrics and HTTP are answered.
	Listen string `env:"MILLRACE_LISTEN" envDefault:"127.0.0.1:8080"`
	// An address on which /metrics alone is answered, without a token, such as
	// :9102. On the common address it needs the role read.
	MetricsListen string `env:"MILLRACE_METRICS_LISTEN"`
	// The port to listen on, on all addresses. Knative sets it, and it goes before
	// MILLRACE_LISTEN.
	Port string `env:"PORT"`
	// Set by Knative: events are then pushed by the broker instead of pulled from
	// NATS, and logs are JSON.
	Service string `env:"K_SERVICE"`
	// How long the program may take to finish what it handles, from SIGTERM to its
	// end.
	Drain time.Duration `env:"MILLRACE_DRAIN" envDefault:"25s"`
	// What is logged on standard error: debug, info, warn or error.
	Log string `env:"MILLRACE_LOG" envDefault:"info"`
}

// address is where the program listens.
func (s Settings) address() string {
	if s.Service != "" && s.Port != "" {
		return ":" + s.Port
	}
	return s.Listen
}

// MainOption changes what Main does.
type MainOption func(*program)

// WithoutArtifacts is for a function that reads and writes no artifacts: Main
// opens no store, Deps.Artifacts is nil, and the program need not link one.
func WithoutArtifacts() MainOption { return func(p *program) { p.withoutArtifacts = true } }

// Main runs a function as a program: it reads the environment, connects,
// receives events by push on Knative and by pull elsewhere, answers /healthz,
// /readyz and /metrics, and drains at SIGTERM. It returns the exit code. With
// the argument --version it only prints which build it is.
func Main[C interface{ Validate() error }, F Function](name string, build func(C, Deps) (F, error), options ...MainOption) int {
	return service.Main(name, func(ctx context.Context) error {
		config, configErr := env.ParseAs[C]()
		if configErr == nil {
			configErr = config.Validate()
		}
		p := program{name: name}
		for _, o := range options {
			o(&p)
		}
		settings, err := env.ParseAs[Settings]()
		if err := errors.Join(err, configErr, settings.Validate()); err != nil {
			return fmt.Errorf("the environment: %w", err)
		}
		p.settings = settings
		p.logger = telemetry.Logger(os.Stderr, settings.Log).With("component", name)
		p.service = service.New(p.logger, settings.Drain)
		return p.run(ctx, func(d Deps) (Function, error) { return build(config, d) })
	})
}

// program is a function that runs as a process.
type program struct {
	name             string
	settings         Settings
	logger           *slog.Logger
	service          *service.Service
	withoutArtifacts bool
}

func (p *program) run(ctx context.Context, build func(Deps) (Function, error)) (err error) {
	defer func() { err = errors.Join(err, p.service.Stop(ctx)) }()
	deps, err := p.connect(ctx)
	if err != nil {
		return err
	}
	registry := telemetry.Registry()
	deps.Metrics = registry
	traces, stopTraces, err := telemetry.Traces(ctx, p.name)
	if err != nil {
		return err
	}
	p.service.OnStop("traces", stopTraces)
	deps.Traces = traces
	if deps.Guard, err = p.guard(registry); err != nil {
		return err
	}

	f, err := build(deps)
	if err != nil {
		return err
	}
	start := Start
	if p.settings.Service != "" {
		start = StartPushed
	}
	in, err := start(ctx, p.name, f, deps, StartOptions{})
	if err != nil {
		return err
	}
	p.service.OnStop("function", in.Stop)

	mux := access.NewMux(deps.Guard)
	service.Health(mux, registry, in.Ready)
	in.Routes(mux)
	if err := p.service.Metrics(ctx, p.settings.MetricsListen, registry); err != nil {
		return err
	}
	listener, err := p.service.Listen(ctx, p.settings.address())
	if err != nil {
		return err
	}
	p.service.Serve(ctx, listener, &http.Server{Handler: mux})
	p.logger.InfoContext(ctx, "started", "listen", listener.Addr().String(), "types", in.runtime.mux.Types())
	return p.service.Wait(ctx)
}

// guard returns what decides about callers. It logs how open the program is.
func (p *program) guard(metrics prometheus.Registerer) (*access.Guard, error) {
	g, err := access.New(p.settings.Settings, access.Options{Local: access.LocalAddress(p.settings.address()), Logger: p.logger, Metrics: metrics})
	if err != nil {
		return nil, fmt.Errorf("the environment: %w", err)
	}
	if g.Empty() && g.Anonymous() == access.Public {
		p.logger.Warn("no token is configured, so that only health is answered, and events of the log where they are pushed: set MILLRACE_TOKEN, MILLRACE_TOKEN_FILE or MILLRACE_ACCESS_FILE")
	}
	if g.Anonymous() != access.Public {
		p.logger.Info("callers without a token have roles", "roles", g.Anonymous().String())
	}
	return g, nil
}

// connect opens what the function works with.
func (p *program) connect(ctx context.Context) (Deps, error) {
	log, nc, err := p.settings.Open(ctx, "millrace-"+p.name, p.logger)
	if err != nil {
		return Deps{}, err
	}
	p.service.OnStop("NATS connection", func(context.Context) error { nc.Close(); return nil })
	states, err := state.NewStore(ctx, log, p.logger)
	if err != nil {
		return Deps{}, err
	}
	dir := filepath.Join(p.settings.Dir, p.name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return Deps{}, fmt.Errorf("make the working folder: %w", err)
	}
	deps := Deps{Log: log, States: states, Logger: p.logger, Dir: dir}
	if p.withoutArtifacts {
		return deps, nil
	}
	deps.Artifacts, err = artifact.OpenStore(ctx, p.settings.Artifacts, filepath.Join(p.settings.Dir, "artifacts"))
	if err != nil {
		return Deps{}, err
	}
	p.service.OnStop("artifact store", func(context.Context) error { return deps.Artifacts.Close() })
	return deps, nil
}
