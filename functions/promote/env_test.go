package promote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// env is a pipeline's log, event by event: what promote handles is
// decided on, and everything is folded.
type env struct {
	t        testing.TB
	p        *state.Pipeline
	now      time.Time
	n        int
	approved map[int]bool
	told     strings.Builder
}

func newEnv(t testing.TB, promote string) *env {
	s := &env{t: t, p: state.New("flights"), now: time.Date(2013, 4, 1, 12, 0, 0, 0, time.UTC), approved: map[int]bool{}}
	s.configure(promote)
	return s
}

// configure sets the section promote of the pipeline's file.
func (s *env) configure(promote string) {
	s.t.Helper()
	p, err := config.Parse("pipeline.yaml", []byte("apiVersion: millrace.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: flights}\n"+
		"spec:\n  model: {task: regression}\n  promote: "+promote+"\n"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.fold(events.PipelineConfigured{Digest: "sha256:0", Spec: p.JSON()})
}

func (s *env) fold(data events.Data) events.Header {
	s.t.Helper()
	s.n++
	b, err := json.Marshal(data)
	if err != nil {
		s.t.Fatal(err)
	}
	h := events.Header{ID: fmt.Sprint(s.n), Type: data.EventType(), Pipeline: "flights", Time: s.now}
	s.p = state.Apply(s.p, events.Envelope{Header: h, Data: b})
	if a, ok := data.(events.ModelApproved); ok {
		s.approved[a.Version] = true
	}
	return h
}

// tell folds the event, decides on it if promote handles it, and folds what was
// decided, all of it checked.
func (s *env) tell(data events.Data) []events.Data {
	s.t.Helper()
	h := s.fold(data)
	out, heard := s.decide(h, data)
	if !heard {
		return nil
	}
	if again, _ := s.decide(h, data); !reflect.DeepEqual(out, again) {
		s.t.Fatalf("the same event and state, two decisions: %v and %v", out, again)
	}
	fmt.Fprintf(&s.told, "%s %s\n", word(data), compact(s.t, data))
	for _, d := range out {
		if nothing, ok := d.(events.EventHandled); ok {
			fmt.Fprintf(&s.told, "    nothing: %s\n", nothing.Reason)
			continue
		}
		fmt.Fprintf(&s.told, "    %s %s\n", word(d), compact(s.t, d))
		if err := d.Validate(); err != nil {
			s.t.Fatalf("%s is not valid: %v", word(d), err)
		}
		s.fold(d)
	}
	s.check()
	return out
}

func (s *env) decide(h events.Header, data events.Data) (out []events.Data, heard bool) {
	s.t.Helper()
	f, err := New(Config{}, function.Deps{})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx := context.Background()
	switch d := data.(type) {
	case events.ModelApproved:
		out, err = f.modelApproved(ctx, events.Event[events.ModelApproved]{Header: h, Data: d}, s.p)
	case events.PromotionApproved:
		out, err = f.promotionApproved(ctx, events.Event[events.PromotionApproved]{Header: h, Data: d}, s.p)
	case events.RollbackRequested:
		out, err = f.rollbackRequested(ctx, events.Event[events.RollbackRequested]{Header: h, Data: d}, s.p)
	case events.PredictionsLogged:
		out, err = f.predictionsLogged(ctx, events.Event[events.PredictionsLogged]{Header: h, Data: d}, s.p)
	case events.ScheduleTicked:
		out, err = f.scheduleTicked(ctx, events.Event[events.ScheduleTicked]{Header: h, Data: d}, s.p)
	default:
		return nil, false
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return out, true
}

// check holds what is true of a route whatever happens.
func (s *env) check() {
	s.t.Helper()
	champions, canaries := 0, 0
	for _, m := range s.p.Models {
		switch m.State {
		case state.Champion:
			champions++
			if m.Version != s.p.Route.Champion || !s.approved[m.Version] {
				s.t.Fatalf("v%d is a champion; the route says v%d, approved %t", m.Version, s.p.Route.Champion, s.approved[m.Version])
			}
		case state.Canary:
			canaries++
			if s.p.Rollout == nil || s.p.Rollout.Version != m.Version {
				s.t.Fatalf("v%d is a canary and not the one of the rollout", m.Version)
			}
		}
	}
	if champions > 1 || canaries > 1 || (s.p.Route.Champion != 0) != (champions == 1) || (s.p.Rollout != nil) != (canaries == 1) {
		s.t.Fatalf("%d champions, %d canaries, route %+v, rollout %+v", champions, canaries, s.p.Route, s.p.Rollout)
	}
	if s.p.Route.Champion == 0 && len(s.p.Route.Weights) == 0 {
		return
	}
	sum := 0.0
	for _, w := range s.p.Route.Weights {
		sum += w.Percent
		under := s.p.Rollout != nil && s.p.Rollout.Version == w.Version
		if w.Version != s.p.Route.Champion && !under {
			s.t.Fatalf("v%d has traffic and is neither champion nor canary: %+v", w.Version, s.p.Route)
		}
	}
	if math.Abs(sum-100) > 1e-6 {
		s.t.Fatalf("weights sum to %g: %+v", sum, s.p.Route.Weights)
	}
}

func word(d events.Data) string {
	noun, past := events.Words(d.EventType())
	return noun + "." + past
}

// compact is the payload as JSON without the counts of latencies, which are long.
func compact(t testing.TB, d events.Data) []byte {
	t.Helper()
	if p, ok := d.(events.PredictionsLogged); ok {
		v := p.Versions[0]
		v.Latency = nil
		d = events.PredictionsLogged{Versions: []events.VersionTraffic{v}}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// What happens in stories.

func version() events.Data { return events.ModelRegistered{} }

func passed(v int) events.Data {
	return events.ModelApproved{Evaluation: events.Evaluation{Version: v, Reason: "all gates passed"}}
}

// differs is passed by a version that reads other columns than version 1.
func differs(v int) events.Data {
	return events.ModelApproved{Evaluation: events.Evaluation{
		Version: v, Reason: "all gates passed", Columns: &events.ColumnChange{Champion: 1, Added: []string{"temp"}, Removed: []string{"wind"}},
	}}
}

func failed(v int) events.Data {
	return events.ModelRejected{Evaluation: events.Evaluation{Version: v, Reason: "roc_auc 0.51 is below 0.65"}}
}

// traffic is a batch of answers, each in ms.
func traffic(v int, requests, errors int64, ms float64) events.Data {
	latency := make([]int64, len(events.LatencyBoundsMs)+1)
	i := 0
	for i < len(events.LatencyBoundsMs) && events.LatencyBoundsMs[i] < ms {
		i++
	}
	latency[i] = requests
	return events.PredictionsLogged{Rows: requests, Versions: []events.VersionTraffic{
		{Version: v, Requests: requests, Rows: requests, Errors: errors, Latency: latency},
	}}
}

// both is a batch of champion v1 and canary v2.
func both(champion, championErrors, canary, canaryErrors int64) events.Data {
	a, _ := traffic(1, champion, championErrors, 5).(events.PredictionsLogged)
	b, _ := traffic(2, canary, canaryErrors, 5).(events.PredictionsLogged)
	a.Versions = append(a.Versions, b.Versions...)
	a.Rows += b.Rows
	return a
}

func tick() events.Data { return events.ScheduleTicked{Schedule: "tick", Action: "tick"} }

func goes(v int) events.Data { return events.PromotionApproved{Version: v, By: "anna"} }

func back(to int) events.Data {
	return events.RollbackRequested{To: to, By: "anna", Reason: "complaints"}
}

// later lets time pass.
type later time.Duration

func (later) EventType() string    { return "" }
func (later) EventSubject() string { return "" }
func (later) Validate() error      { return nil }

// setting changes the section promote.
type setting string

func (setting) EventType() string    { return "" }
func (setting) EventSubject() string { return "" }
func (setting) Validate() error      { return nil }

func (s *env) play(data ...events.Data) {
	s.t.Helper()
	for _, d := range data {
		switch d := d.(type) {
		case later:
			s.now = s.now.Add(time.Duration(d))
		case setting:
			s.configure(string(d))
		default:
			s.tell(d)
		}
	}
}
