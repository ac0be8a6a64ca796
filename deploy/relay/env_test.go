package relay_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"millrace.dev/deploy/relay"
	"millrace.dev/events"
	"millrace.dev/functions/promote"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/triggers"
)

// asProgram makes the test binary the relay.
const asProgram = "RELAY_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(relay.Main())
	}
	os.Exit(m.Run())
}

const pipeline = "flights"

// env is a log, functions that answer by push, and a broker between them.
type env struct {
	*functiontest.Env
	url    string // NATS
	broker *broker
	// evaluate and launcher are functions of the test's own; promote is the real one.
	evaluate, launcher *stub
}

func newEnv(t *testing.T) *env {
	t.Helper()
	url, _ := functiontest.Servers(t, 1)
	return newEnvOver(t, url)
}

func newEnvOver(t *testing.T, url string) *env {
	t.Helper()
	return newEnvOn(t, functiontest.Dial(t, url), url)
}

func newEnvOn(t *testing.T, nc *nats.Conn, url string) *env {
	t.Helper()
	w := &env{Env: functiontest.NewOver(t, nc, 1), url: url}
	w.ConfigureYAML(t, `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  model: {task: regression}
  promote: {strategy: direct}
`)
	w.evaluate = &stub{evaluated: func(_ context.Context, e events.Event[events.EvaluationRequested]) ([]events.Data, error) {
		return []events.Data{events.TrainingRequested{Reason: fmt.Sprint(e.Data.Version)}}, nil
	}}
	w.launcher = &stub{}
	promoter, err := promote.New(promote.Config{}, w.Deps(t, promote.Name))
	if err != nil {
		t.Fatal(err)
	}
	ts, _, err := triggers.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	w.broker = &broker{t: t, triggers: ts, functions: map[string]string{}, random: rand.New(rand.NewPCG(1, 2))}
	for name, f := range map[string]function.Function{"evaluate": w.evaluate, "train-launcher": w.launcher, promote.Name: promoter} {
		m := function.NewMux(name)
		f.Register(m)
		// The attempts here are the relay's to count.
		r, err := function.NewRuntime(t.Context(), m, w.Deps(t, name), function.Retry{Attempts: 10_000, First: time.Millisecond, Max: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		trigger, err := triggers.For(name)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(function.Receiver(r, trigger))
		t.Cleanup(s.Close)
		w.broker.functions[name] = s.URL
	}
	w.broker.server = httptest.NewServer(w.broker)
	w.broker.URL = w.broker.server.URL
	t.Cleanup(w.broker.close)
	return w
}

// relay runs until the test ends, or until stop.
func (w *env) relay(t *testing.T, o relay.Options) (stop func()) {
	t.Helper()
	o.Broker, o.Logger = w.broker.URL, w.Logger
	r, err := relay.New(w.Log, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// record waits for the function's record of the event.
func (w *env) record(t *testing.T, by string, e events.Envelope) []events.Envelope {
	t.Helper()
	var found []events.Envelope
	w.until(t, fmt.Sprintf("%s records %s %s", by, e.Type, e.ID), func() bool {
		var err error
		if found, err = w.Log.Record(t.Context(), e.Pipeline, by, events.CauseOf(e.Header)); err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	})
	return found
}

// until polls, with a deadline.
func (w *env) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for ctx := functiontest.Context(t); !ok(); {
		select {
		case <-ctx.Done():
			t.Fatalf("it never came to pass that %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ask emits an evaluation.requested, to which only evaluate is subscribed.
func (w *env) ask(t *testing.T, version int) events.Envelope {
	t.Helper()
	return w.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: version})[0]
}

// tick emits a schedule.ticked, to which promote and train-launcher are subscribed.
func (w *env) tick(t *testing.T, n int) events.Envelope {
	t.Helper()
	due := time.Unix(int64(60*n), 0).UTC().Format(time.RFC3339)
	return w.Announce(t, pipeline, "gateway", events.ScheduleTicked{Schedule: "tick", Action: "tick", Due: due, Pipeline: pipeline})[0]
}

// approve registers a model and approves it, to which promote is subscribed.
func (w *env) approve(t *testing.T) events.Envelope {
	t.Helper()
	ref := events.Ref{URL: "m", Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Size: 1}
	w.Announce(t, pipeline, "gateway", events.ModelRegistered{
		Model: events.Model{Format: "onnx", Digest: ref.Digest, Files: []events.File{{Name: "model.onnx", Ref: ref}}},
	})
	return w.Announce(t, pipeline, "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: 1, Reason: "all gates passed"}})[0]
}

// stub is a function that does what the test says.
type stub struct {
	evaluated func(context.Context, events.Event[events.EvaluationRequested]) ([]events.Data, error)
}

func (s *stub) Register(m *function.Mux) {
	if s.evaluated != nil {
		function.Handle(m, func(ctx context.Context, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
			return s.evaluated(ctx, e)
		})
		quiet[events.ModelRegistered](m)
		return
	}
	quiet[events.TrainingRequested](m)
	quiet[events.ScheduleTicked](m)
}

func quiet[D events.Data](m *function.Mux) {
	function.Handle(m, func(context.Context, events.Event[D], *state.Pipeline) ([]events.Data, error) {
		return function.Nothing("as the test wants it")
	})
}

// broker takes events and delivers each once to every function whose trigger
// matches, whatever the function answers: the least that a broker may do. It
// does less, and more, when told.
type broker struct {
	URL       string
	server    *httptest.Server
	t         *testing.T
	triggers  []triggers.Trigger
	functions map[string]string
	delivery  sync.WaitGroup

	mu sync.Mutex
	// answer is the status of every answer, 202 for 0.
	answer int
	// refuses, loses and repeats are shares of the events.
	refuses, loses, repeats float64
	// deaf is a function to which nothing is delivered.
	deaf   string
	random *rand.Rand
	// taken counts the requests taken for an event, by its id.
	taken map[string]int
	// refused counts the requests that were not taken.
	refused int
}

func (b *broker) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *broker) close() {
	b.server.Close()
	b.delivery.Wait()
}

// count is how often the broker took the event.
func (b *broker) count(e events.Envelope) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken[e.ID]
}

func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the relay was killed as it sent
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	e, err := function.ReadHTTP(w, r)
	if err != nil {
		b.t.Errorf("the relay sent what is no event: %v", err)
	}
	if e.Attributes["via"] != "log" || e.Time.IsZero() || r.Header.Get("ce-id") != e.ID {
		b.t.Errorf("the relay sent %+v as %v", e.Header, r.Header)
	}
	b.mu.Lock()
	status := b.answer
	if status == 0 && b.random.Float64() < b.refuses {
		status = http.StatusServiceUnavailable
	}
	copies := map[string]int{}
	if status == 0 {
		if b.taken == nil {
			b.taken = map[string]int{}
		}
		b.taken[e.ID]++
		for _, f := range b.matching(e) {
			copies[f] = 1
			switch {
			case f == b.deaf || b.random.Float64() < b.loses:
				copies[f] = 0
			case b.random.Float64() < b.repeats:
				copies[f] = 2
			}
		}
	} else {
		b.refused++
	}
	b.mu.Unlock()
	if status != 0 {
		http.Error(w, "not now", status)
		return
	}
	for f, n := range copies {
		for range n {
			b.delivery.Go(func() { b.deliver(f, r.Header.Clone(), body) })
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// matching are the functions that the triggers lead the event to.
func (b *broker) matching(e events.Envelope) (fs []string) {
	attributes := e.Extensions()
	attributes["id"], attributes["type"], attributes["source"], attributes["subject"] = e.ID, e.Type, e.Source, e.Subject
	for _, t := range b.triggers {
		if b.functions[t.Function] != "" && t.Matches(attributes) {
			fs = append(fs, t.Function)
		}
	}
	return fs
}

func (b *broker) deliver(to string, header http.Header, body []byte) {
	req, err := http.NewRequest(http.MethodPost, b.functions[to], bytes.NewReader(body))
	if err != nil {
		b.t.Error(err)
		return
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the test has ended
	}
	resp.Body.Close()
}

// events of the log from a sequence on.
func (w *env) all(t *testing.T) (all []events.Envelope) {
	t.Helper()
	for e, err := range w.Log.Read(t.Context(), eventlog.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}
