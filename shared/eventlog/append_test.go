package eventlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
)

func open(t testing.TB) *eventlog.Log {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l, err := eventlog.Open(t.Context(), s.Conn(), eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ref(c byte) events.Ref {
	return events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat(string(c), 64), Size: 1}
}

func uploaded(key string) events.ObjectUploaded {
	return events.ObjectUploaded{Object: events.Object{Key: key}, Content: ref('a')}
}

func request(n int) events.EvaluationRequested { return events.EvaluationRequested{Version: n} }

func origin(cause string, data ...events.Data) eventlog.Commit {
	return eventlog.Commit{Pipeline: "flights", Function: "gateway", Cause: events.Cause(cause), Data: data}
}

func handling(e events.Envelope, function string, data ...events.Data) eventlog.Commit {
	return eventlog.Commit{Pipeline: "flights", Function: function, Handled: e.Header, Data: data}
}

func appendOne(t testing.TB, l *eventlog.Log, c eventlog.Commit) eventlog.Appended {
	t.Helper()
	a, err := l.Append(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func rollout(version int) events.RolloutStarted {
	return events.RolloutStarted{Version: version, Strategy: "direct", Weights: []events.Weight{{Version: version, Percent: 100}}, Reason: "r"}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	l := open(t)
	first := appendOne(t, l, origin("one", uploaded("flights/1.csv")))
	if first.Duplicate || len(first.Events) != 1 || first.Events[0].Sequence != 1 {
		t.Fatalf("first append: %+v", first)
	}
	e := first.Events[0]
	if e.CorrelationID != e.ID || e.Subject != "flights/object/flights/1.csv" || e.Source != "/millrace/gateway" || e.TraceParent == "" {
		t.Errorf("header of an origin: %+v", e.Header)
	}

	t.Run("the same origin again is a duplicate with the first event", func(t *testing.T) {
		again := appendOne(t, l, origin("one", uploaded("flights/other.csv")))
		if !again.Duplicate || len(again.Events) != 1 || again.Events[0].ID != e.ID || !strings.Contains(string(again.Events[0].Data), "flights/1.csv") {
			t.Errorf("got %+v", again)
		}
	})
	t.Run("a handling is recorded once whatever it decides", func(t *testing.T) {
		a := appendOne(t, l, handling(e, "evaluate", request(1)))
		b := appendOne(t, l, handling(e, "evaluate", events.EventHandled{Event: e.ID, Function: "evaluate", Reason: "changed my mind"}))
		if a.Duplicate || !b.Duplicate || b.Events[0].ID != a.Events[0].ID {
			t.Errorf("got %+v then %+v", a, b)
		}
		if a.Events[0].CausationID != e.ID || a.Events[0].CorrelationID != e.CorrelationID {
			t.Errorf("chain of causes: %+v", a.Events[0].Header)
		}
	})
	t.Run("several announcements are one commit", func(t *testing.T) {
		a := appendOne(t, l, handling(e, "ingest", request(1), request(2), request(3)))
		if len(a.Events) != 3 || a.Events[2].Sequence != a.Events[0].Sequence+2 {
			t.Errorf("got %+v", a)
		}
		if b := appendOne(t, l, handling(e, "ingest", request(1))); !b.Duplicate || len(b.Events) != 3 {
			t.Errorf("again: %+v", b)
		}
	})
	t.Run("an originated event takes the handling's record beside it", func(t *testing.T) {
		started := events.TrainingStarted{Run: "r1", Key: "k", Snapshot: "s", Train: ref('b'), Holdout: ref('c')}
		a := appendOne(t, l, handling(e, "train-launcher", started))
		if len(a.Events) != 2 {
			t.Fatalf("got %+v", a)
		}
		second := appendOne(t, l, origin("two", uploaded("flights/2.csv"))).Events[0]
		if _, err := l.Append(t.Context(), handling(second, "train-launcher", started)); !errors.Is(err, eventlog.ErrMoved) {
			t.Errorf("the same run key from another event: %v, want ErrMoved", err)
		}
		if b := appendOne(t, l, handling(e, "train-launcher", started)); !b.Duplicate {
			t.Errorf("the same handling again: %+v", b)
		}
	})
	t.Run("a run ends once, no matter who says how", func(t *testing.T) {
		failed := appendOne(t, l, origin("", events.TrainingFailed{Run: "r1", Reason: "crashed"}))
		completed := appendOne(t, l, origin("", events.TrainingCompleted{Run: "r1", Model: events.Model{Format: "onnx", Digest: "d", Files: []events.File{{Name: "model.onnx", Ref: ref('d')}}}}))
		if failed.Duplicate || !completed.Duplicate || completed.Events[0].Type != failed.Events[0].Type {
			t.Errorf("got %+v then %+v", failed, completed)
		}
	})
	t.Run("a guarded noun needs a guard", func(t *testing.T) {
		if _, err := l.Append(t.Context(), handling(e, "promote", rollout(1))); err == nil || errors.Is(err, eventlog.ErrMoved) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a guard that has moved refuses", func(t *testing.T) {
		c := handling(e, "promote", rollout(1))
		c.Guards = []eventlog.Guard{{Noun: "rollout"}}
		a := appendOne(t, l, c)
		if len(a.Events) != 2 || a.Events[1].Type != (events.RolloutStarted{}).EventType() {
			t.Fatalf("got %+v", a)
		}
		third := appendOne(t, l, origin("three", uploaded("flights/3.csv"))).Events[0]
		c = handling(third, "promote", rollout(2))
		c.Guards = []eventlog.Guard{{Noun: "rollout"}}
		if _, err := l.Append(t.Context(), c); !errors.Is(err, eventlog.ErrMoved) {
			t.Fatalf("stale guard: %v, want ErrMoved", err)
		}
		c.Guards[0].Sequence = a.Events[1].Sequence
		if b := appendOne(t, l, c); b.Duplicate {
			t.Errorf("fresh guard: %+v", b)
		}
	})
	t.Run("too large", func(t *testing.T) {
		big := events.TrainingSkipped{Reason: strings.Repeat("x", events.MaxDataBytes+1)}
		if _, err := l.Append(t.Context(), origin("big", big)); err == nil || !strings.Contains(err.Error(), "artifact store") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("what is not valid is not announced", func(t *testing.T) {
		if _, err := l.Append(t.Context(), origin("bad", events.EvaluationRequested{Version: -1})); err == nil {
			t.Error("appended")
		}
	})
}

// Eight deciders with different verdicts over the same event: one commit.
func TestOneCommitACause(t *testing.T) {
	t.Parallel()
	l := open(t)
	for round := range 50 {
		e := appendOne(t, l, origin(fmt.Sprint("round", round), uploaded("flights/1.csv"))).Events[0]
		var wg sync.WaitGroup
		committed := make(chan string, 8)
		for n := range 8 {
			wg.Go(func() {
				data := []events.Data{request(n + 1)}
				if n%2 == 0 {
					data = append(data, request(n+10))
				}
				a, err := l.Append(context.Background(), handling(e, "evaluate", data...))
				if err != nil {
					t.Error(err)
				} else if !a.Duplicate {
					committed <- a.Events[0].ID
				}
			})
		}
		wg.Wait()
		if n := len(committed); n != 1 {
			t.Fatalf("round %d: %d commits", round, n)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := events.Envelope{Header: events.Header{ID: "a.b c", Source: "https://example.com/x y", Type: "com.example.thing", Attributes: map[string]string{"note": "Euro € 😀 \"%"}}, Data: json.RawMessage(`{"a":1}`)}
	a, err := l.AppendForeign(t.Context(), e)
	if err != nil || a.Duplicate {
		t.Fatal(a, err)
	}
	b, err := l.AppendForeign(t.Context(), e)
	if err != nil || !b.Duplicate {
		t.Fatal(b, err)
	}
	got, ok, err := l.Next(t.Context(), "_", 1)
	if err != nil || !ok || got.ID != e.ID || got.Source != e.Source || got.Attributes["note"] != e.Attributes["note"] || string(got.Data) != `{"a":1}` {
		t.Errorf("got %+v %v %v", got, ok, err)
	}
}

// TestForeignOfAGuardedNoun: a decision that has not seen it is refused.
func TestForeignOfAGuardedNoun(t *testing.T) {
	t.Parallel()
	l := open(t)
	drift := func(id string) events.Envelope {
		return events.Envelope{Header: events.Header{ID: id, Source: "/monitor", Type: events.DriftDetected{}.EventType(), Pipeline: "flights"}, Data: json.RawMessage(`{"version":1,"reason":"r"}`)}
	}
	check := func(cause string, sequence uint64) error {
		c := origin(cause, events.DriftChecked{DriftCheck: events.DriftCheck{Version: 1, Reason: "r"}})
		c.Guards = []eventlog.Guard{{Noun: "drift", Sequence: sequence}}
		_, err := l.Append(t.Context(), c)
		return err
	}
	if err := check("first", 0); err != nil {
		t.Fatal(err)
	}
	a, err := l.AppendForeign(t.Context(), drift("1"))
	if err != nil || a.Duplicate {
		t.Fatal(a, err)
	}
	if err := check("second", 1); !errors.Is(err, eventlog.ErrMoved) {
		t.Errorf("a decision that has not seen the foreign event: %v", err)
	}
	if err := check("second", 2); err != nil {
		t.Error(err)
	}
	if b, err := l.AppendForeign(t.Context(), drift("1")); err != nil || !b.Duplicate {
		t.Error(b, err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if a, err := l.AppendForeign(t.Context(), drift(fmt.Sprint("many", i))); err != nil || a.Duplicate {
				t.Error(a, err)
			}
		})
	}
	wg.Wait()
}

func TestReadAndFollow(t *testing.T) {
	t.Parallel()
	l := open(t)
	const n = 1203 // more than two pages
	go func() {
		for i := range n {
			pipeline := []string{"flights", "wine"}[i%2]
			_, err := l.Append(context.Background(), eventlog.Commit{Pipeline: pipeline, Function: "gateway", Cause: events.Cause(fmt.Sprint(i)), Data: []events.Data{request(i + 1)}})
			if err != nil {
				t.Error(err)
			}
		}
	}()
	seen := 0
	for e, err := range l.Follow(t.Context(), eventlog.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if e.Sequence != uint64(seen) {
			t.Fatalf("event %d came at place %d", e.Sequence, seen)
		}
		if seen == n {
			break
		}
	}
	count := func(f eventlog.Filter) (c int) {
		for _, err := range l.Read(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			c++
		}
		return c
	}
	for name, c := range map[string]struct {
		filter eventlog.Filter
		want   int
	}{
		"all":               {eventlog.Filter{}, n},
		"a pipeline":        {eventlog.Filter{Pipeline: "wine"}, n / 2},
		"from and to":       {eventlog.Filter{From: 10, To: 19}, 10},
		"a type":            {eventlog.Filter{Types: []string{request(1).EventType()}}, n},
		"another type":      {eventlog.Filter{Types: []string{uploaded("x").EventType()}}, 0},
		"unknown pipelines": {eventlog.Filter{Pipeline: "nobody"}, 0},
	} {
		if got := count(c.filter); got != c.want {
			t.Errorf("%s: %d events, want %d", name, got, c.want)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	l := open(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if _, err := l.Append(context.Background(), origin(fmt.Sprint(i), request(1))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBatch(b *testing.B) {
	l := open(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if _, err := l.Append(context.Background(), origin(fmt.Sprint(i), request(1), request(2))); err != nil {
			b.Fatal(err)
		}
	}
}
