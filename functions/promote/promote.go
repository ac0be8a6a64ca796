package promote

import (
	"context"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Name is the function's name in the log.
const Name = "promote"

// guarded is the noun that every decision here hangs on.
const guarded = "rollout"

// Config of the function: it has none, the pipeline says everything.
type Config struct{}

// Validate has nothing to find.
func (Config) Validate() error { return nil }

// F is the function. It holds no state and is safe for concurrent use.
type F struct{ follow Follow }

// New makes the function for where inference follows the routes in the log by
// itself: in one process, and wherever nothing else is told about them.
func New(Config, function.Deps) (*F, error) { return &F{}, nil }

// NewFollowed makes the function for where something outside of the log has
// to follow the routes: on a cluster, the objects that serve.
func NewFollowed(follow Follow) *F { return &F{follow: follow} }

// Decides says that promote reads nothing but the event and the state.
func (*F) Decides() {}

// Register registers the handlers.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, f.modelApproved, function.Guard(guarded))
	function.Handle(m, f.promotionApproved, function.Guard(guarded))
	function.Handle(m, f.rollbackRequested, function.Guard(guarded))
	function.Handle(m, f.predictionsLogged, function.Guard(guarded))
	function.Handle(m, f.scheduleTicked, function.Guard(guarded))
	// Its own: every change of a route.
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

// promotionApproved takes a person's yes: to a version, or to the next step.
func (f *F) promotionApproved(_ context.Context, e events.Event[events.PromotionApproved], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil {
		return function.Nothing("the pipeline is not configured")
	}
	return yes(p, e.Data)
}

// rollbackRequested aborts the rollout, or goes back from the champion.
func (f *F) rollbackRequested(_ context.Context, e events.Event[events.RollbackRequested], p *state.Pipeline) ([]events.Data, error) {
	return rollback(p, e.Data)
}

// predictionsLogged looks at the step's evidence, of which the batch is part
// in the state already.
func (f *F) predictionsLogged(_ context.Context, e events.Event[events.PredictionsLogged], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil || p.Rollout == nil {
		return function.Nothing("no rollout is under way")
	}
	return judge(p, e.Time)
}

// scheduleTicked looks whether the step's deadline is over.
func (f *F) scheduleTicked(_ context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil || p.Rollout == nil {
		return function.Nothing("no rollout is under way")
	}
	return judge(p, e.Time)
}
