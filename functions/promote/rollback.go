package promote

import (
	"fmt"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// rollback decides what follows from a person's wish to go back. A rollout
// under way is aborted, whatever version the wish names.
func rollback(p *state.Pipeline, d events.RollbackRequested) ([]events.Data, error) {
	if p.Rollout != nil {
		return abort(p, "", asked(d), d.By)
	}
	champion, to := p.Route.Champion, d.To
	if champion == 0 {
		return function.Nothing("no version serves, so there is nothing to go back from")
	}
	if to == 0 {
		n := len(p.Route.Champions)
		if n == 0 {
			return function.Nothing("there was no champion before v%d to go back to", champion)
		}
		to = p.Route.Champions[n-1]
	}
	switch m := p.Model(to); {
	case m == nil:
		return function.Nothing("there is no version %d to go back to", to)
	case to == champion:
		return function.Nothing("v%d is the champion already", to)
	case !m.Served:
		return function.Nothing("v%d has never been the champion; going there is a promotion", to)
	}
	reason := fmt.Sprintf("%s; v%d serves again", asked(d), to)
	return []events.Data{
		events.RolloutAborted{Version: champion, Weights: all(to), Reason: reason, By: d.By},
		events.ModelRolledBack{Version: champion, To: to, Reason: reason, By: d.By},
	}, nil
}

// asked is a person's wish as a reason.
func asked(d events.RollbackRequested) string {
	by := d.By
	if by == "" {
		by = "a person"
	}
	if d.Reason == "" {
		return by + " asked to go back"
	}
	return by + " asked to go back: " + d.Reason
}
