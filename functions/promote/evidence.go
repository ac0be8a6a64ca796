package promote

import (
	"fmt"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// judge decides what follows from the evidence that the step has gathered up
// to now, and from its deadline.
func judge(p *state.Pipeline, at time.Time) ([]events.Data, error) {
	r := p.Rollout
	if !moving(p) {
		return function.Nothing("v%d has no traffic before a person says yes", r.Version)
	}
	for _, g := range p.Config.Spec.Promote.Guardrails {
		if why := broken(g, r); why != "" {
			return abort(p, rule(g), fmt.Sprintf("v%d breaks %s: %s", r.Version, rule(g), why), "")
		}
	}
	if m := p.Model(r.Version); !m.Approved {
		return abort(p, "", fmt.Sprintf("v%d was judged again and rejected: %s", r.Version, verdict(m)), "")
	}
	switch {
	case r.Waiting && askFirst(p):
		return function.Nothing("v%d waits for a person's yes", r.Version)
	case enough(p):
		return goOn(p, answered(p)+"; no guardrail is broken")
	case held(p):
		return function.Nothing("held at its deadline: %s", answered(p))
	case overdue(p, at):
		return deadline(p)
	}
	return function.Nothing("not enough evidence yet: %s", answered(p))
}

// goOn takes the next step, or asks for it.
func goOn(p *state.Pipeline, reason string) ([]events.Data, error) {
	if askFirst(p) {
		return pause(p, reason+"; a person's yes is waited for")
	}
	return next(p, reason)
}

// deadline decides what follows from a step whose time is over.
func deadline(p *state.Pipeline) ([]events.Data, error) {
	reason := fmt.Sprintf("%s, and its %s are over", answered(p), p.Config.Spec.Promote.Advance.Within)
	switch onDeadline(p) {
	case config.OnDeadlineRollback:
		return abort(p, "", reason+"; on_deadline is rollback", "")
	case config.OnDeadlinePromote:
		return goOn(p, reason+"; on_deadline is promote")
	}
	if version := waiting(p, p.Rollout.Version); version != 0 {
		return replace(p, version, fmt.Sprintf("%s; v%d, which is newer, is approved", reason, version), "", askFirst(p))
	}
	return pause(p, reason+"; it is held until the evidence comes or a person decides")
}

func onDeadline(p *state.Pipeline) string {
	if d := p.Config.Spec.Promote.OnDeadline; d != "" {
		return d
	}
	return config.OnDeadlineHold
}

// enough tells whether the step's evidence is in.
func enough(p *state.Pipeline) bool {
	return p.Rollout.Requests >= p.Config.Spec.Promote.Advance.Requests
}

// held tells whether the rollout was stopped at a deadline: it waits, though
// its evidence is not in.
func held(p *state.Pipeline) bool { return p.Rollout.Waiting && moving(p) && !enough(p) }

// overdue tells whether the step's time is over.
func overdue(p *state.Pipeline, at time.Time) bool {
	within := p.Config.Spec.Promote.Advance.Within.Std()
	return within > 0 && !at.Before(p.Rollout.Began.Add(within))
}

// answered is the step's evidence in words.
func answered(p *state.Pipeline) string {
	r := p.Rollout
	return fmt.Sprintf("v%d answered %d requests at %g %% of the traffic (its step asks for %d), %d with an error",
		r.Version, r.Requests, p.Route.Percent(r.Version), p.Config.Spec.Promote.Advance.Requests, r.Errors)
}

// evidence is what the step has gathered, as it stands in the log.
func evidence(r *state.Rollout) events.Evidence {
	e := events.Evidence{Requests: r.Requests, Errors: r.Errors, P50Ms: r.LatencyMs(0.50), P95Ms: r.LatencyMs(0.95)}
	if r.Requests > 0 {
		e.ErrRate = float64(r.Errors) / float64(r.Requests)
	}
	return e
}
