package function_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// TestPoisonEventIsIsolated lets one event end its process again and again: it
// becomes a dead letter, and those that were under way beside it do not. A
// process that ends is one whose handlings never return.
func TestPoisonEventIsIsolated(t *testing.T) {
	const (
		killer     = 1
		neighbours = 5
	)
	b := functiontest.New(t)
	ctx := functiontest.Context(t)
	var asked []events.Envelope
	for i := range 1 + neighbours {
		asked = append(asked, b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: killer + i})...)
	}
	gone, released := make(chan struct{}), sync.WaitGroup{}
	t.Cleanup(func() { close(gone); released.Wait() })

	var handled sync.Map // the first event of each one's record
	for life, left := 0, asked; len(left) > 0; life++ {
		if life > maxUnreported+functiontest.Retry.Attempts+1 {
			t.Fatalf("after %d lives %d of %d events have no record", life, len(left), len(asked))
		}
		begun := make(chan int, len(asked))
		p := &subject{calls: map[int]int{}, handle: func(ctx context.Context, _ int, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
			begun <- e.Data.Version
			// In the first lives all are under way when the killer strikes.
			if e.Data.Version == killer || life < maxUnreported {
				<-gone
			}
			return announce(fmt.Sprint(e.Data.Version))
		}}
		m := function.NewMux("subject")
		p.Register(m)
		r, err := function.NewRuntime(ctx, m, b.Deps(t, fmt.Sprintf("subject-%d", life)), functiontest.Retry)
		if err != nil {
			t.Fatal(err)
		}
		var ended sync.WaitGroup
		done := make(chan struct{})
		ended.Add(len(left))
		for _, e := range left {
			released.Go(func() {
				o := r.Handle(ctx, function.Delivery{Envelope: e, Again: life > 0, Before: min(life, 1)})
				if o.Err == nil && len(o.Events) > 0 {
					handled.Store(e.ID, o.Events[0])
				}
				ended.Done()
			})
		}
		go func() { ended.Wait(); close(done) }()
		// The process ends when the killer has begun, and in the first lives
		// all others too; or when everything is done.
		want := 1
		if life < maxUnreported {
			want = len(left)
		}
		for seen, struck := 0, false; seen < want || !struck; {
			select {
			case v := <-begun:
				seen++
				struck = struck || v == killer
			case <-done:
				seen, struck = want, true
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
		left = slices.DeleteFunc(slices.Clone(left), func(e events.Envelope) bool { _, ok := handled.Load(e.ID); return ok })
	}
	for i, e := range asked {
		v, _ := handled.Load(e.ID)
		got := v.(events.Envelope)
		if i > 0 {
			if got.Type != (events.TrainingRequested{}).EventType() {
				t.Errorf("neighbour %d: got %+v", i, got)
			}
			continue
		}
		if d := functiontest.Data[events.DeadLetterRecorded](t, got); d.Attempts != functiontest.Retry.Attempts || !strings.Contains(d.Reason, "the process ended during each attempt") {
			t.Errorf("the killer: got %+v", d)
		}
	}
}

// maxUnreported is how many processes end before an event is handled alone.
const maxUnreported = 2
