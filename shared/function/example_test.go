package function_test

import (
	"context"
	"encoding/json"
	"fmt"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// A handler is a decision: an event and the state of its pipeline come in, what
// to emit goes out. Mux.Decide runs it without a log.
func ExampleHandle() {
	m := function.NewMux("retrainer")
	function.Handle(m, func(_ context.Context, e events.Event[events.ModelRejected], p *state.Pipeline) ([]events.Data, error) {
		if len(p.Models) < 2 {
			return function.Nothing("version %d was the first", e.Data.Version)
		}
		return []events.Data{events.TrainingRequested{Reason: e.Data.Reason}}, nil
	})

	data, err := json.Marshal(events.ModelRejected{Evaluation: events.Evaluation{Version: 2, Reason: "worse than the champion"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	rejected := events.Envelope{Header: events.Header{ID: "1", Source: "/test", Type: events.ModelRejected{}.EventType(), Pipeline: "flights"}, Data: data}
	for _, models := range [][]*state.Model{{{Version: 2}}, {{Version: 1}, {Version: 2}}} {
		commit, err := m.Decide(context.Background(), rejected, &state.Pipeline{Name: "flights", Models: models})
		if err != nil {
			fmt.Println(err)
			return
		}
		switch d := commit.Data[0].(type) {
		case events.EventHandled:
			fmt.Println("nothing:", d.Reason)
		case events.TrainingRequested:
			fmt.Println("train:", d.Reason)
		}
	}
	// Output:
	// nothing: version 2 was the first
	// train: worse than the champion
}

// A test lets a function handle events over a real log: testing's t instead of
// exampleT.
func ExampleNothing() {
	t, end := newExampleT()
	defer end()
	env := functiontest.New(t)
	asked := env.Announce(t, "flights", "gateway", events.EvaluationRequested{Version: 3})[0]
	left := env.Handle(t, sceptic{}, "sceptic", asked)
	fmt.Println(functiontest.Data[events.EventHandled](t, left[0]).Reason)
	// Output:
	// version 3 is not judged on a Monday
}

// sceptic emits nothing.
type sceptic struct{}

func (sceptic) Register(m *function.Mux) {
	function.Handle(m, func(_ context.Context, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
		return function.Nothing("version %d is not judged on a Monday", e.Data.Version)
	})
}
