package up

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caarlos0/env/v11"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace.dev/deploy/millrace/replay"
	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/functions/evaluate"
	"millrace.dev/functions/gateway"
	"millrace.dev/functions/inference"
	"millrace.dev/functions/ingest"
	"millrace.dev/functions/promote"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/function"
)

// part is one function of the system.
type part struct {
	name     string
	function function.Function
	deps     function.Deps
	instance *function.Instance
}

// makeFunctions makes every function from its part of the environment. They
// start from the end of the chain to its beginning, so that no event waits for
// the one that comes next.
func (s *system) makeFunctions(context.Context) (err error) {
	if s.replays, err = s.deps("replay"); err != nil {
		return err
	}
	return errors.Join(
		add(s, gateway.Name, gateway.New),
		add(s, inference.Name, inference.New),
		add(s, driftcheck.Name, driftcheck.New),
		add(s, promote.Name, promote.New),
		add(s, evaluate.Name, evaluate.New),
		add(s, trainlauncher.Name, trainlauncher.New),
		add(s, validate.Name, validate.New),
		add(s, ingest.Name, ingest.New),
	)
}

func add[C interface{ Validate() error }, F function.Function](s *system, name string, build func(C, function.Deps) (F, error)) error {
	config, err := env.ParseAs[C]()
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		return fmt.Errorf("the environment of %s: %w", name, err)
	}
	deps, err := s.deps(name)
	if err != nil {
		return err
	}
	f, err := build(config, deps)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.functions = append(s.functions, part{name: name, function: f, deps: deps})
	return nil
}

func (s *system) startFunctions(ctx context.Context) error {
	for i := range s.functions {
		p := &s.functions[i]
		in, err := function.Start(ctx, p.name, p.function, p.deps, function.StartOptions{Retry: s.options.Retry})
		if err != nil {
			return err
		}
		p.instance = in
		s.onStop(p.name, in.Stop)
	}
	return nil
}

// routes is everything that is answered at the one address.
func (s *system) routes() http.Handler {
	mux := http.NewServeMux()
	for _, p := range s.functions {
		if f, ok := p.function.(function.Server); ok {
			f.Routes(mux)
		}
	}
	replay.Routes(mux, s.replays)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		for _, p := range s.functions {
			if ready, ok := p.function.(function.Readier); ok {
				if err := ready.Ready(r.Context()); err != nil {
					http.Error(w, p.name+": "+err.Error(), http.StatusServiceUnavailable)
					return
				}
			}
		}
	})
	return function.Plain(mux)
}
