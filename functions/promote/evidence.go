package promote

import (
	"fmt"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// advance decides what follows from the evidence that the rollout has gathered so far, and from its step's deadline.
func advance(p *state.Pipeline, at time.Time) ([]events.Data, error) {
	r := p.Rollout
	if !moving(p) {
		return function.Nothing("v%d has no traffic until a person approves it", r.Version)
	}
	w := weigh(p)
	if w.broken != "" {
		return abort(p, w.broken, fmt.Sprintf("v%d breaks %s: %s", r.Version, w.broken, w.why), "")
	}
	if m := p.Model(r.Version); !m.Approved {
		return abort(p, "", fmt.Sprintf("v%d was evaluated again and rejected: %s", r.Version, verdict(m)), "")
	}
	ready := w.ready(p)
	switch {
	case r.Waiting && askFirst(p):
		return function.Nothing("v%d waits for approval", r.Version)
	case ready:
		return proceed(p, answered(p)+w.shown())
	case r.Waiting:
		return function.Nothing("held at its deadline: %s%s", answered(p), w.shown())
	case overdue(p, at):
		return deadline(p, w)
	}
	return function.Nothing("not enough evidence yet: %s%s", answered(p), w.shown())
}

// ready reports whether the step has its evidence.
func (w weighed) ready(p *state.Pipeline) bool {
	switch {
	case w.both != "":
		return false
	case len(w.evidence) == 0:
		return enough(p)
	case w.safe && p.Rollout.Requests > 0:
		return true
	}
	return p.Config.Spec.Promote.Advance.Evidence == config.EvidenceRequests && enough(p)
}

// shown says what the evidence shows about the guardrails, in words.
func (w weighed) shown() string {
	switch {
	case w.both != "":
		return fmt.Sprintf("; both versions break %s: %s", w.both, w.why)
	case len(w.evidence) == 0:
		return ""
	case w.safe:
		return "; it is shown to keep every guardrail"
	case w.missing > 0:
		return fmt.Sprintf("; no guardrail is broken, and it takes about %s more to show that each is kept", humanize.Count(w.missing, "request"))
	}
	return "; no guardrail is broken, and it is not shown that each is kept"
}

// proceed takes the next step, or asks for approval.
func proceed(p *state.Pipeline, reason string) ([]events.Data, error) {
	if askFirst(p) {
		return pause(p, reason+"; waiting for approval")
	}
	return next(p, reason)
}

// deadline decides what follows when a step's time is over.
func deadline(p *state.Pipeline, w weighed) ([]events.Data, error) {
	reason := fmt.Sprintf("%s%s; its time of %s is over", answered(p), w.shown(), p.Config.Spec.Promote.Advance.Within)
	switch onDeadline(p) {
	case config.OnDeadlineRollback:
		return abort(p, "", reason+"; on_deadline is rollback", "")
	case config.OnDeadlinePromote:
		if w.both == "" {
			return proceed(p, reason+"; on_deadline is promote")
		}
	}
	if version := waiting(p, p.Rollout.Version); version != 0 {
		return replace(p, version, fmt.Sprintf("%s; v%d, which is newer, is approved", reason, version), "", asks(p, version))
	}
	return pause(p, reason+"; it is held until there is enough evidence or a person decides")
}

func onDeadline(p *state.Pipeline) string {
	if d := p.Config.Spec.Promote.OnDeadline; d != "" {
		return d
	}
	return config.OnDeadlineHold
}

// enough reports whether the step has its requests.
func enough(p *state.Pipeline) bool {
	return p.Rollout.Requests >= p.Config.Spec.Promote.Advance.Requests
}

// held reports whether the rollout was stopped at a deadline: it waits without enough evidence.
func held(p *state.Pipeline) bool { return p.Rollout.Waiting && moving(p) && !weigh(p).ready(p) }

// overdue reports whether the step's time is over.
func overdue(p *state.Pipeline, at time.Time) bool {
	within := p.Config.Spec.Promote.Advance.Within.Std()
	return within > 0 && !at.Before(p.Rollout.Began.Add(within))
}

// answered returns the step's requests in words.
func answered(p *state.Pipeline) string {
	r := p.Rollout
	asks := ""
	if len(p.Config.Spec.Promote.Guardrails) == 0 || p.Config.Spec.Promote.Advance.Evidence == config.EvidenceRequests {
		asks = fmt.Sprintf(" (its step asks for %d)", p.Config.Spec.Promote.Advance.Requests)
	}
	return fmt.Sprintf("v%d answered %d requests at %g %% of the traffic%s, %d with an error", r.Version, r.Requests, p.Route.Percent(r.Version), asks, r.Errors)
}

// evidence returns what the step has gathered, as an event carries it.
func evidence(p *state.Pipeline) events.Evidence {
	r := p.Rollout
	e := events.Evidence{Guardrails: weigh(p).evidence, Requests: r.Requests, Errors: r.Errors, P50Ms: r.LatencyMs(0.50), P95Ms: r.LatencyMs(0.95)}
	if r.Requests > 0 {
		e.ErrRate = float64(r.Errors) / float64(r.Requests)
	}
	return e
}
