// Package functiontest runs functions in tests as in production: over a real log
// in an embedded NATS server and a real artifact store on disk.
package functiontest

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/access"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Env is a log, the states over it and an artifact store, for one test.
type Env struct {
	Log       *eventlog.Log
	States    *state.Store
	Artifacts *artifact.Store
	// Server is the embedded NATS server, nil over an external one.
	Server *embedded.Server
	Logger *slog.Logger
	dir    string
}

// Retry is quick, so that a test sees the dead letter.
var Retry = function.Retry{Attempts: 3, First: 10 * time.Millisecond, Max: 50 * time.Millisecond}

// New starts an environment that ends with the test.
func New(t testing.TB) *Env {
	t.Helper()
	dir := t.TempDir()
	s, err := embedded.Start(Context(t), embedded.Options{Dir: filepath.Join(dir, "log")})
	must(t, err)
	t.Cleanup(s.Close)
	env := newOver(t, s.Conn(), eventlog.Options{Embedded: true})
	env.Server = s
	return env
}

// NewOver makes an environment over a NATS connection, with a log of that many replicas.
func NewOver(t testing.TB, nc *nats.Conn, replicas int) *Env {
	t.Helper()
	return newOver(t, nc, eventlog.Options{Replicas: replicas})
}

func newOver(t testing.TB, nc *nats.Conn, o eventlog.Options) *Env {
	t.Helper()
	ctx, dir := Context(t), t.TempDir()
	env := &Env{dir: dir, Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: level()}))}
	var err error
	o.Logger = env.Logger
	env.Log, err = eventlog.Open(ctx, nc, o)
	must(t, err)
	env.States, err = state.NewStore(ctx, env.Log, env.Logger)
	must(t, err)
	env.Artifacts, err = artifact.OpenStore(ctx, "file://"+filepath.Join(dir, "artifacts")+"?create_dir=true", filepath.Join(dir, "cache"))
	must(t, err)
	t.Cleanup(func() { must(t, env.Artifacts.Close()) })
	return env
}

// level is the level of the log lines a test shows, from MILLRACE_LOG.
func level() slog.Level {
	l := slog.LevelWarn
	_ = l.UnmarshalText([]byte(os.Getenv("MILLRACE_LOG")))
	return l
}

// Context ends with the test, and after two minutes at the latest.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Deps returns what the named function works with.
func (env *Env) Deps(t testing.TB, name string) function.Deps {
	t.Helper()
	dir := filepath.Join(env.dir, name)
	must(t, os.MkdirAll(dir, 0o750))
	return function.Deps{
		Log: env.Log, States: env.States, Artifacts: env.Artifacts, Logger: env.Logger.With("component", name),
		Metrics: prometheus.NewRegistry(), Dir: dir, Guard: access.Open(),
	}
}

// Configure puts a pipeline's configuration into the log, its bundle into the
// artifact store.
func (env *Env) Configure(t testing.TB, l *config.Loaded) {
	t.Helper()
	var bundle bytes.Buffer
	must(t, config.Bundle(l, &bundle))
	ref, err := env.Artifacts.PutBytes(Context(t), bundle.Bytes(), ".tar.zst")
	must(t, err)
	prepared, err := l.PreparedDigest()
	must(t, err)
	env.Announce(t, l.Pipeline.Name(), "gateway", events.PipelineConfigured{
		Digest: l.Digest, Bundle: ref, Spec: l.Pipeline.JSON(), Dir: l.Dir, Commit: l.Commit, Prepared: prepared,
	})
}

// ConfigureYAML writes the pipeline file into a folder of the test, beside the
// other files (name, content), and configures it.
func (env *Env) ConfigureYAML(t testing.TB, yaml string, files ...[2]string) *config.Loaded {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append(files, [2]string{"pipeline.yaml", yaml}) {
		path := filepath.Join(dir, f[0])
		must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		must(t, os.WriteFile(path, []byte(f[1]), 0o600))
	}
	l, err := config.Load(dir)
	must(t, err)
	env.Configure(t, l)
	return l
}

// Announce appends events in the function's name, each as an origin of its own,
// and returns them as stored in the log. It guards them with the current state.
func (env *Env) Announce(t testing.TB, pipeline, name string, data ...events.Data) []events.Envelope {
	t.Helper()
	ctx := Context(t)
	var out []events.Envelope
	for _, d := range data {
		v, err := env.States.View(ctx, pipeline)
		must(t, err)
		c := eventlog.Commit{Pipeline: pipeline, Function: name, Data: []events.Data{d}}
		for _, noun := range eventlog.GuardedNouns {
			c.Guards = append(c.Guards, v.Guard(noun))
		}
		c.Cause = events.Cause("test", rand.Text())
		done, err := env.Log.Append(ctx, c)
		must(t, err)
		out = append(out, done.Events...)
	}
	return out
}

// Handle lets the function handle the event once, through the whole runtime,
// and returns what the handling committed, including dead letters and
// event.handled. A handling that ends in an error, to be tried again, fails the
// test.
func (env *Env) Handle(t testing.TB, f function.Function, name string, e events.Envelope) []events.Envelope {
	t.Helper()
	o := env.Deliver(t, f, name, e)
	if o.Err != nil {
		t.Fatalf("%s could not handle %s: %v", name, e.Type, o.Err)
	}
	return o.Events
}

// Deliver is Handle for a test that wants the outcome. The event comes as one
// that may have been delivered before.
func (env *Env) Deliver(t testing.TB, f function.Function, name string, e events.Envelope) function.Outcome {
	t.Helper()
	m := function.NewMux(name)
	f.Register(m)
	r, err := function.NewRuntime(Context(t), m, env.Deps(t, name), Retry)
	must(t, err)
	return r.Handle(Context(t), function.Delivery{Envelope: e, Again: true})
}

// Run lets the function receive from the log until the test ends.
func (env *Env) Run(t testing.TB, f function.Function, name string) *function.Instance {
	t.Helper()
	in, err := function.Start(Context(t), name, f, env.Deps(t, name), function.StartOptions{Retry: Retry})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := in.Stop(ctx); err != nil {
			t.Log(err)
		}
	})
	return in
}

// State returns the pipeline's state as of now.
func (env *Env) State(t testing.TB, pipeline string) *state.Pipeline {
	t.Helper()
	p, err := env.States.Load(Context(t), pipeline)
	must(t, err)
	return p
}

// Events returns the pipeline's events of the types, of all types if none is
// given, in order.
func (env *Env) Events(t testing.TB, pipeline string, types ...string) []events.Envelope {
	t.Helper()
	var out []events.Envelope
	for e, err := range env.Log.Read(Context(t), eventlog.Filter{Pipeline: pipeline, Types: types}) {
		must(t, err)
		out = append(out, e)
	}
	return out
}

// WaitFor follows the pipeline's log from its beginning until it has an event
// of the type that ok accepts (any for nil), and returns it.
func (env *Env) WaitFor(t testing.TB, pipeline, eventType string, ok func(events.Envelope) bool) events.Envelope {
	t.Helper()
	for e, err := range env.Log.Follow(Context(t), eventlog.Filter{Pipeline: pipeline, Types: []string{eventType}}) {
		must(t, err)
		if ok == nil || ok(e) {
			return e
		}
	}
	t.Fatalf("no %s came", eventType)
	return events.Envelope{}
}

// Data decodes an event's data as a T.
func Data[T events.Data](t testing.TB, e events.Envelope) T {
	t.Helper()
	d, err := events.Decode[T](e)
	must(t, err)
	return d.Data
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testWriter shows log lines with the test that made them.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	defer func() { _ = recover() }() // a line after the end of the test
	w.t.Log(string(bytes.TrimRight(b, "\n")))
	return len(b), nil
}
