package service_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/shared/access"
	"millrace.dev/shared/service"
)

// asProgram makes the test binary a program that ends with its name's error.
const asProgram = "SERVICE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "":
		os.Exit(m.Run())
	case "fails":
		os.Exit(service.Main("miller", func(context.Context) error { return errors.New("the water is too low") }))
	case "hides":
		os.Exit(service.Main("miller", hides))
	case "waits":
		os.Exit(service.Main("miller", func(ctx context.Context) error {
			_, _ = os.Stdout.WriteString("started\n")
			<-ctx.Done()
			_, _ = os.Stdout.WriteString("stopping\n")
			select {} // a second signal ends it
		}))
	}
}

func newService(drain time.Duration) *service.Service {
	return service.New(slog.New(slog.DiscardHandler), drain)
}

func TestStopRunsTheStepsInReverseOrder(t *testing.T) {
	t.Parallel()
	var order []string
	s := newService(time.Minute)
	for _, name := range []string{"log", "function", "server"} {
		s.OnStop(name, func(ctx context.Context) error {
			if ctx.Err() != nil {
				t.Errorf("%s: the context of its stop has ended: %v", name, ctx.Err())
			}
			order = append(order, name)
			if name == "function" {
				return errors.New("rows are left")
			}
			return nil
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Stop(ended)
	if want := []string{"server", "function", "log"}; !slices.Equal(order, want) {
		t.Errorf("stopped %v, want %v", order, want)
	}
	if err == nil || err.Error() != "stop function: rows are left" {
		t.Errorf("got the error %v", err)
	}
	if err := s.Stop(ended); err != nil || len(order) != 3 {
		t.Errorf("a second stop ran steps again: %v, %v", order, err)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := newService(time.Minute)
	s.Fail(errors.New("first"))
	s.Fail(errors.New("second"))
	if err := s.Wait(t.Context()); err == nil || err.Error() != "first" {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newService(time.Minute).Wait(ended); err != nil {
		t.Errorf("the end of the context is the error %v", err)
	}
}

// serving serves the handler, and returns where.
func serving(t *testing.T, s *service.Service, h http.Handler) (url string) {
	t.Helper()
	l, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(t.Context(), l, &http.Server{Handler: h})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// TestServerStopsFirst holds the order that an answered request relies on: it is
// answered while everything it uses is there, and nothing comes after it.
func TestServerStopsFirst(t *testing.T) {
	t.Parallel()
	s := newService(time.Minute)
	flushed, begun, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.OnStop("function", func(context.Context) error { close(flushed); return nil })
	url := serving(t, s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		select {
		case <-flushed:
			t.Error("the function had stopped while a request ran")
		default:
		}
		_, _ = w.Write([]byte("answered"))
	}))
	answer := make(chan string, 1)
	go func() {
		_, body, err := get(t, url)
		if err != nil {
			t.Error(err)
		}
		answer <- body
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context()) }()
	for { // until new connections are refused
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(release)
	if got := <-answer; got != "answered" {
		t.Errorf("the running request got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	<-flushed
}

// TestSlowRequestLeavesTimeForTheFunctions: a request that never ends is cut
// off, and the steps after the server still have time.
func TestSlowRequestLeavesTimeForTheFunctions(t *testing.T) {
	t.Parallel()
	const drain = 600 * time.Millisecond
	s := newService(drain)
	left := make(chan time.Duration, 1)
	s.OnStop("function", func(ctx context.Context) error {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return nil
	})
	begun := make(chan struct{})
	url := serving(t, s, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	cut := make(chan error, 1)
	go func() {
		_, _, err := get(t, url)
		cut <- err
	}()
	<-begun
	err := s.Stop(t.Context())
	if err == nil || !strings.Contains(err.Error(), "stop server: requests were cut off") {
		t.Errorf("got %v", err)
	}
	if got := <-left; got <= 0 {
		t.Errorf("the function had %s left to flush", got)
	}
	if <-cut == nil {
		t.Error("the request that never ends was answered")
	}
}

func TestServeReportsAFailure(t *testing.T) {
	t.Parallel()
	s := newService(time.Minute)
	l, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s.Serve(t.Context(), l, &http.Server{Handler: http.NotFoundHandler()})
	if err := s.Wait(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "serve: ") {
		t.Errorf("got %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "wheels_total", Help: "Wheels."}))
	ready := make(chan error, 1)
	mux := access.NewMux(access.Open())
	service.Health(mux, registry, func(context.Context) error { return <-ready })
	s := newService(time.Minute)
	url := serving(t, s, mux)
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		path   string
		ready  error
		status int
		body   string
	}{
		{"/healthz", nil, 200, ""},
		{"/readyz", nil, 200, ""},
		{"/readyz", errors.New("the log is away"), 503, "the log is away\n"},
		{"/metrics", nil, 200, "# HELP wheels_total Wheels.\n# TYPE wheels_total counter\nwheels_total 0\n"},
		{"/x/%2e%2e/healthz", nil, 400, "a path may not contain \"..\"; write it from the root\n"},
	} {
		if c.path == "/readyz" {
			ready <- c.ready
		}
		status, body, err := get(t, url+c.path)
		if err != nil || status != c.status || body != c.body {
			t.Errorf("%s: %d %q %v", c.path, status, body, err)
		}
	}
}

func TestMainReportsTheError(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=fails")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || string(out) != "miller: error: the water is too low\n" {
		t.Errorf("%v: %q", err, out)
	}
}

func TestSecondSignalEndsTheProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=waits")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line := make([]byte, 64)
	for _, want := range []string{"started\n", "stopping\n"} {
		n, err := out.Read(line)
		if err != nil || string(line[:n]) != want {
			t.Fatalf("got %q %v, want %q", line[:n], err, want)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	// The handler may be removed a moment after the context has ended.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state says how it ended
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case <-ended:
			if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGTERM {
				t.Errorf("it ended with %v", cmd.ProcessState)
			}
			return
		case <-tick.C:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case <-deadline:
			t.Fatal("it still runs")
		}
	}
}
