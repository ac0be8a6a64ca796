package up

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caarlos0/env/v11"

	"millrace.dev/deploy/replay"
	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/functions/evaluate"
	"millrace.dev/functions/gateway"
	"millrace.dev/functions/inference"
	"millrace.dev/functions/ingest"
	"millrace.dev/functions/promote"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function"
	"millrace.dev/shared/service"
)

// Tasks are what the program that runs the functions does in processes of its
// own: see [apart.Main].
var Tasks = slices.Concat(ingest.Tasks, evaluate.Tasks)

// part is one of the functions in the system.
type part struct {
	name     string
	function function.Function
	deps     function.Deps
	instance *function.Instance
}

// makeFunctions makes every function from its environment variables, from the
// end of the chain to its beginning. They start in that order, so that no event
// waits for its next function, and stop in reverse.
func (s *system) makeFunctions() (err error) {
	s.gateway, err = add(s, gateway.Name, func(c gateway.Config, d function.Deps) (*gateway.F, error) {
		c.Replay = "" // the program replay is part of this process
		return gateway.New(c, d)
	})
	return errors.Join(
		err,
		added(s, inference.Name, inference.New),
		added(s, driftcheck.Name, driftcheck.New),
		added(s, promote.Name, promote.New),
		added(s, evaluate.Name, evaluate.New),
		added(s, trainlauncher.Name, trainlauncher.New),
		added(s, validate.Name, validate.New),
		added(s, ingest.Name, ingest.New),
		added(s, replay.Name, replay.New),
	)
}

func added[C interface{ Validate() error }, F function.Function](s *system, name string, build func(C, function.Deps) (F, error)) error {
	_, err := add(s, name, build)
	return err
}

func add[C interface{ Validate() error }, F function.Function](s *system, name string, build func(C, function.Deps) (F, error)) (f F, err error) {
	config, err := env.ParseAs[C]()
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		return f, fmt.Errorf("the environment of %s: %w", name, err)
	}
	deps, err := s.deps(name)
	if err != nil {
		return f, err
	}
	if f, err = build(config, deps); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	s.functions = append(s.functions, part{name: name, function: f, deps: deps})
	return f, nil
}

func (s *system) startFunctions(ctx context.Context) error {
	for i := range s.functions {
		p := &s.functions[i]
		in, err := function.Start(ctx, p.name, p.function, p.deps, function.StartOptions{Retry: s.options.Retry})
		if err != nil {
			return err
		}
		p.instance = in
		s.service.OnStop(p.name, in.Stop)
	}
	return nil
}

// routes returns the routes of the system's address.
func (s *system) routes() *access.Mux {
	mux := access.NewMux(s.guard)
	for _, p := range s.functions {
		p.instance.Routes(mux)
	}
	service.Health(mux, s.registry, s.ready)
	return mux
}

// ready returns an error that names the functions that cannot work now.
func (s *system) ready(ctx context.Context) error {
	if err := s.log.Ready(ctx); err != nil {
		return err
	}
	for _, p := range s.functions {
		if f, ok := p.function.(function.Readier); ok {
			if err := f.Ready(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}
