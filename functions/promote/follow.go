package promote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Follow brings what serves a pipeline to the route that the state says, and
// tells how far it has come. It is called for every change of the route, and
// again while it waits. Called twice it changes nothing. An error is tried
// again, unless it is of function.Reject.
type Follow func(context.Context, *state.Pipeline) (Standing, error)

// Standing is how far what serves has followed the route.
type Standing struct {
	// Serves says in words what serves now.
	Serves string
	// Waits says what is waited for; the route is served when it is empty.
	Waits string
	// After is when to look again.
	After time.Duration
	// Failed is a version that cannot start, and Reason why; 0 for none.
	Failed int
	Reason string
}

// follows lets what serves follow the route that the event has changed. Where
// inference follows it by itself, that is all there is to do.
func follows[D events.Data](f *F) func(context.Context, events.Event[D], *state.Pipeline) ([]events.Data, error) {
	return func(ctx context.Context, _ events.Event[D], p *state.Pipeline) ([]events.Data, error) {
		if f.follow == nil {
			return function.Nothing("inference follows the route by itself")
		}
		if p.Config == nil {
			return function.Nothing("the pipeline is not configured")
		}
		s, err := f.follow(ctx, p)
		switch {
		case err != nil:
			return nil, err
		case s.Failed != 0:
			return unable(p, s)
		case s.Waits != "":
			return nil, function.Later(s.After, errors.New(s.Waits))
		}
		return function.Nothing("%s", s.Serves)
	}
}

// unable decides what follows from a version that cannot start: its rollout is
// aborted, or, when it is the champion already, the one before it serves
// again. It still has the traffic, as it was never given away.
func unable(p *state.Pipeline, s Standing) ([]events.Data, error) {
	reason := fmt.Sprintf("v%d cannot start: %s", s.Failed, s.Reason)
	champions := p.Route.Champions
	switch {
	case p.Rollout != nil && p.Rollout.Version == s.Failed:
		return abort(p, "", reason, "")
	case p.Route.Champion != s.Failed:
		return function.Nothing("%s; it has no traffic", reason)
	case p.Rollout != nil || len(champions) == 0:
		return nil, function.Reject(fmt.Errorf("%s, and no version is there to go back to. Mend the cause, then send this dead letter again", reason))
	}
	to := champions[len(champions)-1]
	reason = fmt.Sprintf("%s; v%d serves again", reason, to)
	return []events.Data{
		events.RolloutAborted{Version: s.Failed, Weights: all(to), Reason: reason},
		events.ModelRolledBack{Version: s.Failed, To: to, Reason: reason},
	}, nil
}
