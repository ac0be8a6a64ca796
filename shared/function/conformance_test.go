package function_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/triggers"
)

const pipeline = "flights"

// subject is a function under test: what it does is said by the version asked
// for. It handles evaluation.requested and emits training.requested.
type subject struct {
	mu     sync.Mutex
	calls  map[int]int
	handle func(ctx context.Context, call int, e events.Event[events.EvaluationRequested], p *state.Pipeline) ([]events.Data, error)
}

func (s *subject) Register(m *function.Mux) {
	function.Handle(m, func(ctx context.Context, e events.Event[events.EvaluationRequested], p *state.Pipeline) ([]events.Data, error) {
		s.mu.Lock()
		s.calls[e.Data.Version]++
		call := s.calls[e.Data.Version]
		s.mu.Unlock()
		return s.handle(ctx, call, e, p)
	}, function.Guard("rollout"))
}

func (s *subject) called(version int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[version]
}

func announce(reason string) ([]events.Data, error) {
	return []events.Data{events.TrainingRequested{Reason: reason}}, nil
}

// receiver lets a function receive the events of the bench's log.
type receiver func(t *testing.T, b *functiontest.Env, f function.Function)

// trigger leads the log's events to the subject.
var trigger = triggers.Trigger{Name: "subject", Function: "subject", Types: []string{events.EvaluationRequested{}.EventType()}}

func pulled(t *testing.T, b *functiontest.Env, f function.Function) {
	in, err := function.Start(t.Context(), "subject", f, b.Deps(t, "subject"), function.StartOptions{Trigger: trigger, Retry: functiontest.Retry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// pushed sends the log's events to the function as a broker and a relay do:
// binary and structured in turn, each twice, again after a 5xx, and again when
// a deferral is due.
func pushed(t *testing.T, b *functiontest.Env, f function.Function) {
	m := function.NewMux("subject")
	f.Register(m)
	r, err := function.NewRuntime(t.Context(), m, b.Deps(t, "subject"), functiontest.Retry)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(function.Receiver(r, trigger))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	t.Cleanup(func() { cancel(); sending.Wait() })
	byID := sync.Map{}
	send := func(e events.Envelope, after time.Duration) {
		sending.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-time.After(after):
				}
				status, body := post(ctx, t, server.URL, e, n%2 == 0)
				if status/100 == 2 {
					if body != "" {
						t.Errorf("a 2xx has the body %q", body)
					}
					if n == 0 {
						post(ctx, t, server.URL, e, false) // once more, for nothing
					}
					return
				}
				after = 10 * time.Millisecond
			}
		})
	}
	sending.Go(func() {
		for e, err := range b.Log.Follow(ctx, eventlog.Filter{}) {
			if err != nil {
				return
			}
			byID.Store(e.ID, e)
			switch e.Type {
			case events.EvaluationRequested{}.EventType():
				send(e, 0)
			case events.EventDeferred{}.EventType():
				var d events.EventDeferred
				if err := json.Unmarshal(e.Data, &d); err != nil {
					t.Error(err)
				}
				first, _ := byID.Load(d.Event)
				send(first.(events.Envelope), 20*time.Millisecond)
			}
		}
	})
}

func post(ctx context.Context, t *testing.T, url string, e events.Envelope, structured bool) (status int, body string) {
	ce := event.New()
	ce.SetID(e.ID)
	ce.SetSource(e.Source)
	ce.SetType(e.Type)
	ce.SetSubject(e.Subject)
	ce.SetTime(e.Time)
	for k, v := range e.Extensions() {
		ce.SetExtension(k, v)
	}
	if e.Sequence > 0 {
		ce.SetExtension(function.AttributeSequence, strconv.FormatUint(e.Sequence, 10))
	}
	if err := ce.SetData("application/json", e.Data); err != nil {
		t.Error(err)
	}
	if structured {
		ctx = binding.WithForceStructured(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Error(err)
		return 500, ""
	}
	if err := cehttp.WriteRequest(ctx, binding.ToMessage(&ce), req); err != nil {
		t.Error(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 500, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestReceivers(t *testing.T) {
	t.Run("pull/embedded", func(t *testing.T) { conformance(t, functiontest.New(t), pulled) })
	t.Run("pull/external", func(t *testing.T) {
		url, _ := functiontest.Servers(t, 1)
		conformance(t, functiontest.NewOver(t, functiontest.Dial(t, url), 1), pulled)
	})
	t.Run("pull/three replicas", func(t *testing.T) {
		url, _ := functiontest.Servers(t, 3)
		conformance(t, functiontest.NewOver(t, functiontest.Dial(t, url), 3), pulled)
	})
	t.Run("push", func(t *testing.T) { conformance(t, functiontest.New(t), pushed) })
}

func conformance(t *testing.T, b *functiontest.Env, receive receiver) {
	const (
		plain = iota + 1
		nothing
		silent
		failsTwice
		failsAlways
		refuses
		waits
		panics
		several
		guarded
	)
	var spent atomic.Int64
	s := &subject{calls: map[int]int{}, handle: func(ctx context.Context, call int, e events.Event[events.EvaluationRequested], p *state.Pipeline) ([]events.Data, error) {
		if e.Sequence != 0 && len(p.Models) == 0 { // the fold reaches what was emitted before
			return nil, errors.New("the state lacks the registered model")
		}
		switch e.Data.Version {
		case nothing:
			return function.Nothing("not today")
		case silent:
			return nil, nil
		case failsTwice:
			if call < 3 {
				return nil, errors.New("the store is away")
			}
		case failsAlways:
			spent.Add(1)
			return nil, errors.New("the store is away")
		case refuses:
			return nil, function.Reject(errors.New("makes no sense"))
		case waits:
			if call < 6 {
				return nil, function.Later(10*time.Millisecond, errors.New("not yet"))
			}
		case panics:
			panic("oh")
		case several:
			return []events.Data{events.TrainingRequested{Reason: "a"}, events.TrainingRequested{Reason: "b"}}, nil
		}
		if e.Data.Version >= guarded {
			v := 1 + len(p.Route.Weights)%2
			return []events.Data{events.RolloutStarted{Version: v, Strategy: "direct", Reason: fmt.Sprint(e.Data.Version), Weights: []events.Weight{{Version: v, Percent: 100}}}}, nil
		}
		return announce(fmt.Sprint(e.Data.Version))
	}}
	model := events.Model{Format: "onnx", Digest: "d", Files: []events.File{{Name: "model.onnx", Ref: events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat("a", 64)}}}}
	b.Announce(t, pipeline, "gateway", events.ModelRegistered{Model: model}, events.ModelRegistered{Model: model})
	receive(t, b, s)

	// record returns what one handling left in the log.
	record := func(version int) (asked events.Envelope, left []events.Envelope) {
		t.Helper()
		asked = b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: version})[0]
		ctx := functiontest.Context(t)
		for {
			left, err := b.Log.Record(ctx, pipeline, "subject", events.CauseOf(asked.Header))
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				return asked, left
			}
			select {
			case <-ctx.Done():
				t.Fatalf("no record of version %d", version)
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	letter := func(version int) events.DeadLetterRecorded {
		t.Helper()
		asked, left := record(version)
		if len(left) != 1 || left[0].Type != (events.DeadLetterRecorded{}).EventType() {
			t.Fatalf("got %+v", left)
		}
		d := functiontest.Data[events.DeadLetterRecorded](t, left[0])
		if d.Event.ID != asked.ID || d.Function != "subject" || !bytes.Equal(d.Event.Data, asked.Data) {
			t.Errorf("dead letter %+v", d)
		}
		return d
	}

	t.Run("one announcement", func(t *testing.T) {
		asked, left := record(plain)
		if len(left) != 1 || left[0].CausationID != asked.ID || left[0].CorrelationID != asked.CorrelationID || left[0].TraceParent != asked.TraceParent {
			t.Errorf("got %+v", left)
		}
	})
	t.Run("nothing, with its reason", func(t *testing.T) {
		asked, left := record(nothing)
		if d := functiontest.Data[events.EventHandled](t, left[0]); d.Reason != "not today" || d.Event != asked.ID || d.Function != "subject" {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("nothing at all", func(t *testing.T) {
		_, left := record(silent)
		if d := functiontest.Data[events.EventHandled](t, left[0]); d.Reason == "" {
			t.Errorf("got %+v", d)
		}
	})
	// A handler may be asked again for the same delivery when the log has moved: its calls are counted from below.
	t.Run("an error is tried again", func(t *testing.T) {
		_, left := record(failsTwice)
		if left[0].Type != (events.TrainingRequested{}).EventType() || s.called(failsTwice) < 3 || len(left) != 1 {
			t.Errorf("%d calls, got %+v", s.called(failsTwice), left)
		}
	})
	t.Run("spent attempts are a dead letter", func(t *testing.T) {
		d := letter(failsAlways)
		if d.Attempts != functiontest.Retry.Attempts || d.Rejected || !strings.Contains(d.Reason, "the store is away") || int(spent.Load()) != functiontest.Retry.Attempts {
			t.Errorf("%d calls, got %+v", spent.Load(), d)
		}
	})
	t.Run("a refusal is a dead letter at once", func(t *testing.T) {
		if d := letter(refuses); d.Attempts != 1 || !d.Rejected || d.Reason != "makes no sense" {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("later is not counted", func(t *testing.T) {
		_, left := record(waits)
		if left[0].Type != (events.TrainingRequested{}).EventType() || s.called(waits) < 6 || len(left) != 1 {
			t.Errorf("%d calls, got %+v", s.called(waits), left)
		}
	})
	t.Run("a panic is an error", func(t *testing.T) {
		if d := letter(panics); !strings.Contains(d.Reason, "panicked: oh") {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("several announcements", func(t *testing.T) {
		if _, left := record(several); len(left) != 2 || left[1].Sequence != left[0].Sequence+1 {
			t.Errorf("got %+v", left)
		}
	})
	t.Run("sent again to another function", func(t *testing.T) {
		_, err := b.Log.Append(t.Context(), eventlog.Commit{
			Pipeline: pipeline, Function: "gateway", Cause: events.Cause("targeted", t.Name()), Data: []events.Data{events.EvaluationRequested{Version: 500}},
			Attributes: map[string]string{"target": "somebody"},
		})
		if err != nil {
			t.Fatal(err)
		}
		record(plain)
		if n := s.called(500); n != 0 {
			t.Errorf("called %d times", n)
		}
	})
	t.Run("many at once, guarded, each once", func(t *testing.T) {
		const n = 60
		var asked []events.Envelope
		for i := range n {
			asked = append(asked, b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: guarded + i})...)
		}
		seen := map[string]int{}
		for e, err := range b.Log.Follow(functiontest.Context(t), eventlog.Filter{Pipeline: pipeline, Types: []string{events.RolloutStarted{}.EventType()}}) {
			if err != nil {
				t.Fatal(err)
			}
			seen[e.CausationID]++
			if len(seen) == n {
				break
			}
		}
		for _, e := range asked {
			if seen[e.ID] != 1 {
				t.Errorf("%s has %d rollouts", e.ID, seen[e.ID])
			}
		}
		p := b.State(t, pipeline)
		if p.Rollout == nil || p.Route.Weights[0].Version != p.Rollout.Version {
			t.Errorf("route %+v, rollout %+v", p.Route, p.Rollout)
		}
	})
}
