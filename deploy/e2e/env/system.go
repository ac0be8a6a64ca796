package env

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function"
)

// System is a running Millrace.
type System struct {
	*client.Client
	// Dir is where it keeps everything, "" when it runs elsewhere.
	Dir string
	// LogDir is the folder of its log.
	LogDir string
	// stop ends it gracefully, kill at once; both wait for its end.
	stop func() error
	kill func() error
	once sync.Once
}

// Options of a system.
type Options struct {
	// Dir is kept from one system to the next; a new one by default.
	Dir string
	// Pipelines are the folders of its pipelines.
	Pipelines []string
	// Broker is an external NATS server, nil for the embedded one.
	Broker *Broker
	// Retry of failed handlings; the runtime's own by default.
	Retry function.Retry
	// Env are more variables of a system that is a process of its own.
	Env []string
	// Change changes what a system in this process is run with.
	Change func(*up.Options)
}

func (o Options) nats() (url, logDir string) {
	if o.Broker != nil {
		return o.Broker.URL(), o.Broker.options.StoreDir
	}
	return "", filepath.Join(o.Dir, "log")
}

// patience is how long a test waits for one thing, on a busy machine.
const patience = 90 * time.Second

// Start runs a system in this process until the test ends. With
// MILLRACE_SERVER it is the one that runs there.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	if server := os.Getenv("MILLRACE_SERVER"); server != "" {
		nothing := func() error { return nil }
		return &System{Client: newClient(t, server, up.Options{}), stop: nothing, kill: nothing}
	}
	s, err := Try(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Try runs a system in this process. It returns the error if it does not start.
func Try(t testing.TB, o Options) (*System, error) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	url, logDir := o.nats()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan string, 1), make(chan error, 1)
	options := up.Options{
		Dir: o.Dir, Pipelines: o.Pipelines, Listen: "127.0.0.1:0", NATS: url, Drain: 30 * time.Second, Retry: o.Retry,
		Logger: slog.New(slog.NewTextHandler(lines{t}, &slog.HandlerOptions{Level: level()})), Started: func(a string) { started <- a },
	}
	if o.Change != nil {
		o.Change(&options)
	}
	go func() { ended <- up.Run(ctx, options) }()
	stop := func() error { cancel(); return <-ended }
	select {
	case address := <-started:
		s := &System{Client: newClient(t, address, options), Dir: o.Dir, LogDir: logDir, stop: stop}
		t.Cleanup(func() { s.Stop(t) })
		return s, nil
	case err := <-ended:
		cancel()
		return nil, err
	case <-time.After(patience):
		t.Errorf("the system was not up within %s", patience)
		return nil, stop()
	}
}

func newClient(t testing.TB, server string, o up.Options) *client.Client {
	t.Helper()
	c, err := client.New(server, token(o))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// token returns the token of a system, from the environment if it runs elsewhere.
func token(o up.Options) string {
	if o.Dir != "" && o.Token == "" && o.TokenFile == "" {
		token, err := access.ReadTokenFile(filepath.Join(o.Dir, up.TokenFile))
		if err == nil {
			return token
		}
	}
	return cmp.Or(o.Token, os.Getenv("MILLRACE_TOKEN"))
}

// Stop ends the system gracefully. It is idempotent.
func (s *System) Stop(t testing.TB) {
	t.Helper()
	s.once.Do(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the system did not stop gracefully: %v", err)
		}
	})
}

// Kill ends a system that is a process of its own by SIGKILL.
func (s *System) Kill(t testing.TB) {
	t.Helper()
	s.once.Do(func() {
		if err := s.kill(); err != nil {
			t.Errorf("kill the system: %v", err)
		}
	})
}

// Needs skips the test when the system runs elsewhere and lacks the pipeline.
func (s *System) Needs(t testing.TB, pipeline string) {
	t.Helper()
	var v any
	if s.Dir == "" && s.Get(Context(t), &v, nil, "api/pipelines", pipeline) != nil {
		t.Skipf("the system at %s has no pipeline %s", s.Server(), pipeline)
	}
}

// Local skips the test when the system runs elsewhere: it looks at its files.
func (s *System) Local(t testing.TB) {
	t.Helper()
	if s.Dir == "" {
		t.Skip("it looks at the files of the system, which runs elsewhere")
	}
}

// Context ends with the test, or after a timeout.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

// level is that of the log lines that a test shows, from MILLRACE_LOG.
func level() slog.Level {
	l := slog.LevelError
	_ = l.UnmarshalText([]byte(os.Getenv("MILLRACE_LOG"))) // as it is when it says no level
	return l
}

// lines shows log lines with the test that made them.
type lines struct{ t testing.TB }

func (l lines) Write(b []byte) (int, error) {
	defer func() { _ = recover() }() // a line after the end of the test
	l.t.Log(string(b))
	return len(b), nil
}
