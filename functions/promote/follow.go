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

// Follow updates the serving objects of a pipeline to the route in the state,
// and returns how far they are. It is called for every change of the route, and
// again while it waits. It is idempotent. An error is retried, unless it is
// from function.Reject.
type Follow func(context.Context, *state.Pipeline) (Standing, error)

// Standing is how far the serving objects have followed the route.
type Standing struct {
	// Serves describes what serves now.
	Serves string
	// Waits describes what is pending; the route is served when it is empty.
	Waits string
	// After is when to look again.
	After time.Duration
	// Failed is a version that cannot start, and Reason why; 0 for none.
	Failed int
	Reason string
}

// follows updates the serving objects to the route that the event has changed.
// Where inference follows it by itself, nothing is to be done.
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
// aborted, or, if it is the champion already, the former champion serves again,
// which has kept the traffic all along.
func unable(p *state.Pipeline, s Standing) ([]events.Data, error) {
	reason := fmt.Sprintf("v%d cannot start: %s", s.Failed, s.Reason)
	champions := p.Route.Champions
	switch {
	case p.Rollout != nil && p.Rollout.Version == s.Failed:
		return abort(p, "", reason, "")
	case p.Route.Champion != s.Failed:
		return function.Nothing("%s; it has no traffic", reason)
	case p.Rollout != nil || len(champions) == 0:
		return nil, function.Reject(fmt.Errorf("%s, and there is no version to go back to. Fix the cause, then send this dead letter again", reason))
	}
	to := champions[len(champions)-1]
	reason = fmt.Sprintf("%s; v%d serves again", reason, to)
	return []events.Data{
		events.RolloutAborted{Version: s.Failed, Weights: all(to), Reason: reason},
		events.ModelRolledBack{Version: s.Failed, To: to, Reason: reason},
	}, nil
}
