package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"

	"millrace.dev/triggers"
)

// Starter is a function that does something before its first event. What it
// leaves running ends with ctx.
type Starter interface {
	Start(ctx context.Context) error
}

// Stopper is a function that does something after its last event, within ctx.
type Stopper interface {
	Stop(ctx context.Context) error
}

// Readier is a function that knows whether it can work.
type Readier interface {
	Ready(ctx context.Context) error
}

// Server is a function that answers HTTP. Its patterns are registered beside
// those of the functions it shares a process with.
type Server interface{ Routes(mux *http.ServeMux) }

// Decider is a function whose handlings only decide, on the event and the
// state. More of them at a time share the questions to the log's leader; one
// that reads data would only wait for its turn with its deadline running.
type Decider interface{ Decides() }

// Instance is a function that receives events.
type Instance struct {
	name     string
	function Function
	runtime  *Runtime
	pull     *pull
	cancel   context.CancelFunc
}

// Start starts a function and lets it receive from the log, by pull. It goes
// on when ctx ends, until Stop.
func Start(ctx context.Context, name string, f Function, d Deps, o StartOptions) (*Instance, error) {
	in, err := prepare(ctx, name, f, d, o)
	if err != nil {
		return nil, err
	}
	if len(in.runtime.mux.handlers) == 0 {
		return in, nil // it answers requests only
	}
	t := o.Trigger
	if t.Function == "" {
		if t, err = triggers.For(name); err != nil {
			return nil, errors.Join(err, in.Stop(ctx))
		}
	}
	if in.pull, err = startPull(ctx, in.runtime, t, workers(f, o)); err != nil {
		return nil, errors.Join(err, in.Stop(ctx))
	}
	return in, nil
}

// StartOptions say how a function receives.
type StartOptions struct {
	// Trigger leads events to the function; the embedded one by default.
	Trigger triggers.Trigger
	// Workers bounds the handlings at a time; 0 for four per processor, and
	// sixteen of a Decider.
	Workers int
	// Retry of failed handlings; DefaultRetry when zero.
	Retry Retry
}

func workers(f Function, o StartOptions) int {
	if o.Workers > 0 {
		return o.Workers
	}
	if _, ok := f.(Decider); ok {
		return 16 * runtime.GOMAXPROCS(0)
	}
	return 4 * runtime.GOMAXPROCS(0)
}

// prepare makes the runtime and starts what the function itself starts.
func prepare(ctx context.Context, name string, f Function, d Deps, o StartOptions) (*Instance, error) {
	if o.Retry == (Retry{}) {
		o.Retry = DefaultRetry
	}
	m := NewMux(name)
	f.Register(m)
	r, err := NewRuntime(ctx, m, d, o.Retry)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if s, ok := f.(Starter); ok {
		if err := s.Start(life); err != nil {
			cancel()
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
	}
	return &Instance{name: name, function: f, runtime: r, cancel: cancel}, nil
}

// Receiver answers a Knative broker's deliveries for the instance.
func (in *Instance) Receiver() http.Handler { return Receiver(in.runtime) }

// Routes registers what the function answers by HTTP, if anything.
func (in *Instance) Routes(mux *http.ServeMux) {
	if s, ok := in.function.(Server); ok {
		s.Routes(mux)
	}
}

// Ready says whether the function can work now.
func (in *Instance) Ready(ctx context.Context) error {
	if err := in.runtime.deps.Log.Ready(ctx); err != nil {
		return err
	}
	if r, ok := in.function.(Readier); ok {
		return r.Ready(ctx)
	}
	return nil
}

// Stop lets what is being handled end, within ctx.
func (in *Instance) Stop(ctx context.Context) error {
	var errs []error
	if in.pull != nil {
		errs = append(errs, in.pull.stop(ctx))
	}
	if s, ok := in.function.(Stopper); ok {
		if err := s.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", in.name, err))
		}
	}
	in.cancel()
	return errors.Join(errs...)
}
