package promote_test

import (
	"slices"
	"sync"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/promote"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

const pipeline = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  model: {task: regression}
  promote: {strategy: canary, steps: [10, 100], advance: {requests: 500, within: 1h}}
`

func bench(t *testing.T) (*functiontest.Env, *promote.F) {
	t.Helper()
	b := functiontest.New(t)
	b.ConfigureYAML(t, pipeline)
	f, err := promote.New(promote.Config{}, b.Deps(t, promote.Name))
	if err != nil {
		t.Fatal(err)
	}
	return b, f
}

// approve brings a version into the log and has it approved.
func approve(t *testing.T, b *functiontest.Env, version int) events.Envelope {
	t.Helper()
	ref := events.Ref{URL: "m", Digest: "sha256:" + digits, Size: 1}
	b.Announce(t, "flights", "gateway", events.ModelRegistered{
		Model: events.Model{Format: "onnx", Digest: ref.Digest, Files: []events.File{{Name: "model.onnx", Ref: ref}}},
	})
	return b.Announce(t, "flights", "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: version, Reason: "all gates passed"}})[0]
}

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func served(t *testing.T, b *functiontest.Env, version int, requests int64) events.Envelope {
	t.Helper()
	return b.Announce(t, "flights", "inference", events.PredictionsLogged{
		Batch: events.Ref{URL: "b", Digest: "sha256:" + digits, Size: 1}, Rows: requests, From: "2013-04-01T00:00:00Z", To: "2013-04-01T00:00:01Z",
		Versions: []events.VersionTraffic{{Version: version, Requests: requests, Rows: requests}},
	})[0]
}

// types are the words of what was emitted, sorted: the log puts what carries
// no guard first. The record of a handling that emitted guarded events only
// is left out.
func types(es []events.Envelope) (words []string) {
	for _, e := range es {
		noun, past := events.Words(e.Type)
		words = append(words, noun+"."+past)
	}
	slices.Sort(words)
	if len(words) > 1 {
		words = slices.DeleteFunc(words, func(w string) bool { return w == "event.handled" })
	}
	return words
}

func wantTypes(t *testing.T, es []events.Envelope, want ...string) {
	t.Helper()
	if got := types(es); !slices.Equal(got, want) {
		t.Fatalf("announced %v, want %v", got, want)
	}
}

func TestThroughTheLog(t *testing.T) {
	t.Parallel()
	b, f := bench(t)
	first := approve(t, b, 1)
	wantTypes(t, b.Handle(t, f, promote.Name, first), "model.promoted", "rollout.completed", "rollout.started")
	if again := b.Deliver(t, f, promote.Name, first); !again.Duplicate || again.Err != nil {
		t.Errorf("a second delivery took effect: %+v", again)
	}
	wantTypes(t, b.Handle(t, f, promote.Name, approve(t, b, 2)), "rollout.started")
	wantTypes(t, b.Handle(t, f, promote.Name, served(t, b, 2, 500)), "model.promoted", "rollout.completed")
	if p := b.State(t, "flights"); p.Route.Champion != 2 || p.Rollout != nil || p.Model(1).State != state.Archived {
		t.Errorf("after the promotion: %+v, %+v", p.Route, p.Rollout)
	}
	back := b.Announce(t, "flights", "gateway", events.RollbackRequested{By: "anna"})[0]
	wantTypes(t, b.Handle(t, f, promote.Name, back), "model.rolledback", "rollout.aborted")
	if p := b.State(t, "flights"); p.Route.Champion != 1 || p.Route.Percent(1) != 100 {
		t.Errorf("after the rollback: %+v", p.Route)
	}
	again := b.Announce(t, "flights", "gateway", events.RollbackRequested{By: "anna"})[0]
	wantTypes(t, b.Handle(t, f, promote.Name, again), "event.handled")
}

// Two versions are approved and handled at the same time: one rollout starts,
// and the other decision is made again on top of it.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	b, f := bench(t)
	b.Handle(t, f, promote.Name, approve(t, b, 1))
	both := []events.Envelope{approve(t, b, 2), approve(t, b, 3)}
	outcomes := make([]function.Outcome, len(both))
	var wg sync.WaitGroup
	for i, e := range both {
		wg.Go(func() { outcomes[i] = b.Deliver(t, f, promote.Name, e) })
	}
	wg.Wait()
	started := 0
	for i, o := range outcomes {
		if o.Err != nil {
			t.Fatalf("%s: %v", both[i].ID, o.Err)
		}
		for _, w := range types(o.Events) {
			if w == "rollout.started" {
				started++
			}
		}
	}
	p := b.State(t, "flights")
	if started != 1 || p.Rollout == nil || p.Route.Champion != 1 {
		t.Fatalf("%d rollouts started; the state has %+v", started, p.Rollout)
	}
	// Whichever came first: when v2 did, v3 continues once v2 has ended.
	under := p.Rollout.Version
	b.Handle(t, f, promote.Name, served(t, b, under, 500))
	p = b.State(t, "flights")
	if under == 2 && (p.Rollout == nil || p.Rollout.Version != 3) || p.Route.Champion != under {
		t.Errorf("after v%d: %+v, %+v", under, p.Route, p.Rollout)
	}
}

// The function receives from the log by itself, behind its own trigger.
func TestRuns(t *testing.T) {
	t.Parallel()
	b, f := bench(t)
	b.Run(t, f, promote.Name)
	approve(t, b, 1)
	e := b.WaitFor(t, "flights", events.ModelPromoted{}.EventType(), nil)
	if d := functiontest.Data[events.ModelPromoted](t, e); d.Version != 1 {
		t.Errorf("v%d was promoted", d.Version)
	}
}
