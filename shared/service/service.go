// Package service is the lifecycle of Millrace's programs: deployed functions,
// the relay, and `millrace up`.
//
// # Order
//
// Each resource registers the step that ends it when it is opened, and Stop
// runs the steps in the reverse order. The programs open the log first, then
// start their functions, and serve HTTP last. So the server stops first: no new
// request is accepted and the running ones are answered; then the functions
// finish what they handle and flush what they hold; then the log is closed. An
// answered request can rely on what its function still has to write.
//
// All steps share one time limit, the drain. The server may use two thirds of
// it and then closes its connections, so that one slow request does not take
// the time that the functions need for their flush.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"millrace.dev/shared/version"
)

// Context returns a context that SIGTERM and an interrupt cancel. A second
// signal ends the process at once. The caller calls stop at the end.
func Context(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(parent, syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Main runs a program until it ends or is asked to, and returns its exit code.
// The error goes to standard error, after the program's name. With the argument
// --version it only prints which build it is.
func Main(name string, run func(ctx context.Context) error) int {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println(name, version.Read())
		return 0
	}
	ctx, stop := Context(context.Background())
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", name, err)
		return 1
	}
	return 0
}

// Service holds what a program has started. It is for one goroutine, but Fail
// may be called by any.
type Service struct {
	logger *slog.Logger
	drain  time.Duration
	steps  []step
	failed chan error
	// connections is how many connections a listener may hold.
	connections int
}

// step ends one thing that was started.
type step struct {
	name string
	stop func(context.Context) error
}

// New returns a service whose Stop takes at most drain.
func New(logger *slog.Logger, drain time.Duration) *Service {
	return &Service{logger: logger, drain: drain, failed: make(chan error, 1), connections: connectionLimit()}
}

// OnStop registers the step that ends what was just started. Its context ends
// with the drain.
func (s *Service) OnStop(name string, stop func(context.Context) error) {
	s.steps = append(s.steps, step{name, stop})
}

// Fail lets Wait return err, unless something failed before.
func (s *Service) Fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Wait blocks until ctx ends, which is no error, or a part fails.
func (s *Service) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Stop runs the registered steps in the reverse order, each once, within the
// drain. ctx may have ended already. It returns the errors of all steps.
func (s *Service) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	s.logger.InfoContext(ctx, "stopping")
	var errs []error
	for _, step := range slices.Backward(s.steps) {
		began := time.Now()
		if err := step.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", step.name, err))
		}
		s.logger.DebugContext(ctx, "stopped", "step", step.name, "took", time.Since(began))
	}
	s.steps = nil
	return errors.Join(errs...)
}

// Listen opens the address. Clients that connect before Serve wait.
func (s *Service) Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	s.OnStop("listener", func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// Serve answers on the listener until Stop, over TLS if the server has a
// configuration for it. Connections are bounded, with some in reserve for health.
// Requests outlive ctx. What the caller starts after
// Serve is stopped before the server, so Serve comes last.
func (s *Service) Serve(ctx context.Context, l net.Listener, server *http.Server) {
	server.Protocols = Protocols()
	server.ErrorLog = slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug)
	server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes = 10*time.Second, 2*time.Minute, 64<<10
	limited := limitConnections(l, s.connections)
	server.Handler, server.ConnState, server.ConnContext = limited.healthAlways(server.Handler), connState, connContext
	server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	go func() {
		serve := server.Serve
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(limited); !errors.Is(err, http.ErrServerClosed) {
			s.Fail(fmt.Errorf("serve: %w", err))
		}
	}()
	s.OnStop("server", func(ctx context.Context) error { return shutdown(ctx, server) })
}

// shutdown lets running requests be answered for two thirds of the time left,
// then closes their connections.
func shutdown(ctx context.Context, server *http.Server) error {
	polite := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		polite, cancel = context.WithTimeout(ctx, time.Until(deadline)*2/3)
		defer cancel()
	}
	if err := server.Shutdown(polite); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off: %w", err), server.Close())
	}
	return nil
}
