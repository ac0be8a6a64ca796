package promote

import (
	"fmt"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// rollback decides what follows from a person's request to roll back. A rollout in progress is aborted, whatever version
// the request names.
func rollback(p *state.Pipeline, d events.RollbackRequested) ([]events.Data, error) {
	if p.Rollout != nil {
		return abort(p, "", asked(d), d.By)
	}
	champion, to := p.Route.Champion, d.To
	if champion == 0 {
		return function.Nothing("no version is served, so there is nothing to roll back")
	}
	if to == 0 {
		n := len(p.Route.Champions)
		if n == 0 {
			return function.Nothing("there was no champion before v%d to roll back to", champion)
		}
		to = p.Route.Champions[n-1]
	}
	switch m := p.Model(to); {
	case m == nil:
		return function.Nothing("there is no version %d to roll back to", to)
	case to == champion:
		return function.Nothing("v%d is the champion already", to)
	case !m.Served:
		return function.Nothing("v%d has never been the champion: promote it instead", to)
	}
	reason := fmt.Sprintf("%s; v%d serves again", asked(d), to)
	return []events.Data{
		events.RolloutAborted{Version: champion, Weights: all(to), Reason: reason, By: d.By},
		events.ModelRolledBack{Version: champion, To: to, Reason: reason, By: d.By},
	}, nil
}

// asked returns a person's request as a reason.
func asked(d events.RollbackRequested) string {
	by := d.By
	if by == "" {
		by = "a person"
	}
	if d.Reason == "" {
		return by + " requested a rollback"
	}
	return by + " requested a rollback: " + d.Reason
}
