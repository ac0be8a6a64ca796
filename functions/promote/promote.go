package promote

import (
	"context"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Name is the function's name in the log.
const Name = "promote"

// guarded is the noun that every decision here depends on.
const guarded = "rollout"

// Config of the function is empty: the pipeline file has all settings.
type Config struct{}

// Validate returns nil.
func (Config) Validate() error { return nil }

// F is the function. It holds no state and is safe for concurrent use.
type F struct{ follow Follow }

// New returns the function for installations in which inference follows the
// routes in the log by itself.
func New(Config, function.Deps) (*F, error) { return &F{}, nil }

// NewFollowed returns the function for installations in which something outside
// of the log follows the routes: on a cluster, the serving objects.
func NewFollowed(follow Follow) *F { return &F{follow: follow} }

// Register registers the handlers.
func (f *F) Register(m *function.Mux) {
	m.DecidesOnly()
	function.Handle(m, f.modelApproved, function.Guard(guarded))
	function.Handle(m, f.promotionApproved, function.Guard(guarded))
	function.Handle(m, f.rollbackRequested, function.Guard(guarded))
	function.Handle(m, f.predictionsLogged, function.Guard(guarded))
	function.Handle(m, f.scheduleTicked, function.Guard(guarded))
	// Its own events: every change of a route.
	function.Handle(m, follows[events.RolloutStarted](f), function.Guard(guarded))
	function.Handle(m, follows[events.RolloutAdvanced](f), function.Guard(guarded))
	function.Handle(m, follows[events.RolloutCompleted](f), function.Guard(guarded))
	function.Handle(m, follows[events.RolloutAborted](f), function.Guard(guarded))
}

// modelApproved starts the rollout of a version, unless it has to wait.
func (f *F) modelApproved(_ context.Context, e events.Event[events.ModelApproved], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil {
		return function.Nothing("the pipeline is not configured")
	}
	return approved(p, e.Data.Version, e.Time)
}

// promotionApproved handles a person's approval of a version or of the next step.
func (f *F) promotionApproved(_ context.Context, e events.Event[events.PromotionApproved], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil {
		return function.Nothing("the pipeline is not configured")
	}
	return yes(p, e.Data)
}

// rollbackRequested aborts the rollout, or returns from the champion to the former one.
func (f *F) rollbackRequested(_ context.Context, e events.Event[events.RollbackRequested], p *state.Pipeline) ([]events.Data, error) {
	return rollback(p, e.Data)
}

// predictionsLogged checks the step's evidence; the state already includes the
// batch.
func (f *F) predictionsLogged(_ context.Context, e events.Event[events.PredictionsLogged], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil || p.Rollout == nil {
		return function.Nothing("no rollout is under way")
	}
	return advance(p, e.Time)
}

// scheduleTicked checks whether the step's deadline is over.
func (f *F) scheduleTicked(_ context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil || p.Rollout == nil {
		return function.Nothing("no rollout is under way")
	}
	return advance(p, e.Time)
}
