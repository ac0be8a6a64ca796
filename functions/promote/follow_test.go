package promote_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/promote"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// standing lets the next calls of the function's Follow find what they say.
type standing struct {
	promote.Standing
	err error
	// asked are the champions of the states it was asked for.
	asked []int
}

func (s *standing) follow(_ context.Context, p *state.Pipeline) (promote.Standing, error) {
	s.asked = append(s.asked, p.Route.Champion)
	return s.Standing, s.err
}

func data[D events.Data](t *testing.T, es []events.Envelope) D {
	t.Helper()
	for _, e := range es {
		if d, err := events.Decode[D](e); err == nil {
			return d.Data
		}
	}
	var zero D
	t.Fatalf("no %s was announced", zero.EventType())
	return zero
}

func of(t *testing.T, es []events.Envelope, word string) events.Envelope {
	t.Helper()
	for _, e := range es {
		if noun, past := events.Words(e.Type); noun+"."+past == word {
			return e
		}
	}
	t.Fatalf("no %s was announced: %v", word, types(es))
	return events.Envelope{}
}

// Every change of a route is followed; while that takes, the event comes again.
func TestFollows(t *testing.T) {
	t.Parallel()
	b, _ := bench(t)
	s := &standing{Standing: promote.Standing{Waits: "v1 is starting", After: 3 * time.Second}}
	f := promote.NewFollowed(s.follow)
	started := of(t, b.Handle(t, f, promote.Name, approve(t, b, 1)), "rollout.started")
	if o := b.Deliver(t, f, promote.Name, started); !o.Deferred || o.After != 3*time.Second || !strings.Contains(o.Err.Error(), "v1 is starting") {
		t.Fatalf("%+v", o)
	}
	s.Standing = promote.Standing{Serves: "the Service serves v1"}
	if said := data[events.EventHandled](t, b.Handle(t, f, promote.Name, started)); said.Reason != "the Service serves v1" {
		t.Errorf("%+v", said)
	}
	if o := b.Deliver(t, f, promote.Name, started); !o.Duplicate || len(s.asked) != 2 || s.asked[0] != 1 {
		t.Errorf("a second delivery: %+v; asked for %v", o, s.asked)
	}
}

// Where nothing has to follow, the log says so.
func TestInferenceFollowsByItself(t *testing.T) {
	t.Parallel()
	b, f := bench(t)
	started := of(t, b.Handle(t, f, promote.Name, approve(t, b, 1)), "rollout.started")
	wantTypes(t, b.Handle(t, f, promote.Name, started), "event.handled")
}

// A canary that cannot start ends its rollout, with the reason.
func TestCanaryThatCannotStart(t *testing.T) {
	t.Parallel()
	b, _ := bench(t)
	s := &standing{}
	f := promote.NewFollowed(s.follow)
	b.Handle(t, f, promote.Name, approve(t, b, 1))
	started := of(t, b.Handle(t, f, promote.Name, approve(t, b, 2)), "rollout.started")
	s.Standing = promote.Standing{Failed: 2, Reason: "ErrImagePull: no such image"}
	out := b.Handle(t, f, promote.Name, started)
	wantTypes(t, out, "model.rolledback", "rollout.aborted")
	if why := data[events.RolloutAborted](t, out).Reason; why != "v2 cannot start: ErrImagePull: no such image" {
		t.Error(why)
	}
	if r := b.State(t, "flights").Route; r.Champion != 1 || r.Percent(1) != 100 {
		t.Errorf("%+v", r)
	}
}

// A champion that cannot start gives way to the one before it; without one, the
// event becomes a dead letter.
func TestChampionThatCannotStart(t *testing.T) {
	t.Parallel()
	b, _ := bench(t)
	s := &standing{Standing: promote.Standing{Failed: 1, Reason: "exit code 1"}}
	f := promote.NewFollowed(s.follow)
	completed := of(t, b.Handle(t, f, promote.Name, approve(t, b, 1)), "rollout.completed")
	out := b.Handle(t, f, promote.Name, completed)
	wantTypes(t, out, "deadletter.recorded")
	if why := data[events.DeadLetterRecorded](t, out).Reason; !strings.Contains(why, "v1 cannot start: exit code 1, and there is no version to go back to") {
		t.Error(why)
	}
	b.Handle(t, f, promote.Name, approve(t, b, 2))
	out = b.Handle(t, f, promote.Name, b.Announce(t, "flights", "gateway", events.PromotionApproved{Version: 2, By: "ann"})[0])
	s.Failed = 2
	out = b.Handle(t, f, promote.Name, of(t, out, "rollout.completed"))
	if d := data[events.RolloutAborted](t, out); d.Version != 2 || b.State(t, "flights").Route.Champion != 1 {
		t.Errorf("%+v", d)
	}
}

// An object of another owner leads to a dead letter with a reason; what may pass is
// tried again.
func TestFollowRefused(t *testing.T) {
	t.Parallel()
	b, _ := bench(t)
	s := &standing{err: function.Reject(errors.New("spec.traffic is kubectl's"))}
	f := promote.NewFollowed(s.follow)
	out := b.Handle(t, f, promote.Name, approve(t, b, 1))
	refused := b.Handle(t, f, promote.Name, of(t, out, "rollout.started"))
	if d := data[events.DeadLetterRecorded](t, refused); d.Reason != "spec.traffic is kubectl's" {
		t.Errorf("%+v", d)
	}
	s.err = errors.New("the API server is away")
	if o := b.Deliver(t, f, promote.Name, of(t, out, "rollout.completed")); o.Err == nil || o.Deferred {
		t.Errorf("%+v", o)
	}
}
