package state_test

import (
	"testing"
	"time"

	"millrace.dev/shared/state"
)

func TestWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    state.Pipeline
		want bool
	}{
		"at rest":                          {state.Pipeline{}, false},
		"a step of a rollout":              {state.Pipeline{Rollout: &state.Rollout{}}, true},
		"a person's yes":                   {state.Pipeline{Rollout: &state.Rollout{Waiting: true}}, false},
		"pending training, for a pause":    {state.Pipeline{PendingTraining: &state.PendingTraining{Until: time.Unix(1, 0)}}, true},
		"pending training, for a snapshot": {state.Pipeline{PendingTraining: &state.PendingTraining{}}, false},
		"a run":                            {state.Pipeline{Runs: []*state.Run{{Status: state.RunStarted}, {Status: state.RunFailed}}}, true},
		"runs that have ended":             {state.Pipeline{Runs: []*state.Run{{Status: state.RunCompleted}, {Status: state.RunFailed}}}, false},
		"a rollout and its runs":           {state.Pipeline{Rollout: &state.Rollout{}, Runs: []*state.Run{{Status: state.RunStarted}}}, true},
	} {
		if got := c.p.Waits(); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
