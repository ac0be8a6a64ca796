package promote

import (
	"fmt"
	"slices"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// approved decides what follows from a version's having passed its gates.
func approved(p *state.Pipeline, version int, at time.Time) ([]events.Data, error) {
	m, r := p.Model(version), p.Rollout
	switch {
	case m == nil:
		return function.Nothing("there is no version %d", version)
	case !m.Approved:
		return function.Nothing("v%d was rejected in the meantime", version)
	case m.State == state.Champion:
		return function.Nothing("v%d is the champion already", version)
	case m.State == state.Canary:
		return function.Nothing("v%d is being rolled out already", version)
	case m.State == state.Archived:
		return function.Nothing("v%d was taken out before; it comes back when a person promotes it", version)
	case p.Route.Champion > version:
		return function.Nothing("v%d, the champion, is newer than v%d", p.Route.Champion, version)
	case r == nil:
		return start(p, version, fmt.Sprintf("v%d is approved", version), askFirst(p))
	case r.Version > version:
		return function.Nothing("v%d, which is being rolled out, is newer than v%d", r.Version, version)
	case standsStill(p, at):
		reason := fmt.Sprintf("v%d, which is newer, is approved, and the rollout of v%d stands still", version, r.Version)
		return replace(p, version, reason, "", askFirst(p))
	}
	return function.Nothing("v%d waits until the rollout of v%d has ended", version, r.Version)
}

// yes decides what follows from a person's yes to a version.
func yes(p *state.Pipeline, d events.PromotionApproved) ([]events.Data, error) {
	m, r := p.Model(d.Version), p.Rollout
	switch {
	case m == nil && len(p.Models) == 0:
		return function.Nothing("there is no version yet")
	case m == nil:
		return function.Nothing("there is no version %d; the newest is v%d", d.Version, len(p.Models))
	case m.State == state.Champion:
		return function.Nothing("v%d is the champion already", d.Version)
	case !m.Approved:
		return function.Nothing("v%d is not approved: %s. A yes does not outrank a gate; change the gates and ask for another evaluation", d.Version, verdict(m))
	case r == nil:
		return start(p, d.Version, said(d), false)
	case r.Version == d.Version && moving(p):
		return next(p, said(d)+"; "+answered(p))
	case r.Version == d.Version:
		return next(p, said(d))
	}
	return replace(p, d.Version, said(d), d.By, false)
}

// said is a person's word as a reason.
func said(d events.PromotionApproved) string {
	by := d.By
	if by == "" {
		by = "a person"
	}
	if d.Reason == "" {
		return fmt.Sprintf("%s said yes to v%d", by, d.Version)
	}
	return fmt.Sprintf("%s said yes to v%d: %s", by, d.Version, d.Reason)
}

func verdict(m *state.Model) string {
	if m.Evaluation == nil {
		return "it has not been judged"
	}
	return m.Evaluation.Reason
}

// askFirst tells whether a person is asked before traffic moves.
func askFirst(p *state.Pipeline) bool {
	return p.Config.Spec.Promote.Approval == config.ApprovalRequired
}

// standsStill tells whether the rollout goes on by itself: not before its
// first yes, and not when it is held at its deadline.
func standsStill(p *state.Pipeline, at time.Time) bool {
	switch {
	case !moving(p), held(p):
		return true
	case p.Rollout.Waiting || enough(p):
		return false
	}
	return overdue(p, at) && onDeadline(p) == config.OnDeadlineHold
}

// waiting is the newest approved version that came while the rollout of
// another was under way, 0 if none did.
func waiting(p *state.Pipeline, ended int) int {
	for _, m := range slices.Backward(p.Models) {
		if m.Version <= ended {
			break
		}
		if m.State == state.Candidate && m.Approved {
			return m.Version
		}
	}
	return 0
}
