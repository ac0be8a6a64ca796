package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"millrace.dev/shared/access"
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
type Server interface{ Routes(mux *access.Mux) }

// Instance is a started function.
type Instance struct {
	name     string
	function Function
	runtime  *Runtime
	pull     *pull
	receiver http.Handler // nil unless events are pushed
	cancel   context.CancelFunc
}

// Start starts a function that receives events from the log, by pull. It runs
// until Stop, also after ctx has ended.
func Start(ctx context.Context, name string, f Function, d Deps, o StartOptions) (*Instance, error) {
	in, err := prepare(ctx, name, f, d, &o)
	if err != nil || len(in.runtime.mux.handlers) == 0 {
		return in, err // without handlers it answers requests only
	}
	if in.pull, err = startPull(ctx, in.runtime, o); err != nil {
		return nil, errors.Join(err, in.Stop(ctx))
	}
	return in, nil
}

// StartPushed starts a function to which a broker pushes the log's events. Its
// Routes include the Receiver.
func StartPushed(ctx context.Context, name string, f Function, d Deps, o StartOptions) (*Instance, error) {
	in, err := prepare(ctx, name, f, d, &o)
	if err != nil || len(in.runtime.mux.handlers) == 0 {
		return in, err
	}
	in.receiver = Receiver(in.runtime, o.Trigger)
	return in, nil
}

// StartOptions configure how a function receives. Zero fields have the defaults
// that are named.
type StartOptions struct {
	// Trigger selects the function's events; the embedded one of its name.
	Trigger triggers.Trigger
	// Workers bounds the handlers that run at a time; 4 per processor, and 16
	// if they only decide (Mux.DecidesOnly).
	Workers int
	// Retry of failed handlings; DefaultRetry.
	Retry Retry
	// AckWait is after how long JetStream delivers an event again that was
	// neither acknowledged nor reported to be in progress; 10 seconds. The
	// runtime reports progress every third of it.
	AckWait time.Duration
}

// prepare makes the runtime and starts what the function itself starts. It sets
// the defaults of o.
func prepare(ctx context.Context, name string, f Function, d Deps, o *StartOptions) (*Instance, error) {
	m := NewMux(name)
	f.Register(m)
	if o.Retry == (Retry{}) {
		o.Retry = DefaultRetry
	}
	if o.Trigger.Function == "" && len(m.handlers) > 0 {
		var err error
		if o.Trigger, err = triggers.For(name); err != nil {
			return nil, err
		}
	}
	o.Workers = m.workers(o.Workers)
	if o.AckWait == 0 {
		o.AckWait = defaultAckWait
	}
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

// Routes registers what the function answers by HTTP, and the receiver of
// pushed events.
func (in *Instance) Routes(mux *access.Mux) {
	if s, ok := in.function.(Server); ok {
		s.Routes(mux)
	}
	if in.receiver != nil {
		mux.Handle(access.Public, "/", in.receiver) // a push is a hint only: see Receiver
	}
}

// Ready returns why the function cannot work now, nil if it can.
func (in *Instance) Ready(ctx context.Context) error {
	if err := in.runtime.deps.Log.Ready(ctx); err != nil {
		return err
	}
	if r, ok := in.function.(Readier); ok {
		return r.Ready(ctx)
	}
	return nil
}

// Stop receives no more events, lets the running handlers end and the function
// flush what it holds, within ctx.
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
