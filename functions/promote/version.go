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

// approved decides what follows when a version has passed its gates.
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
		return function.Nothing("v%d was removed from traffic before; only a person can promote it again", version)
	case p.Route.Champion > version:
		return function.Nothing("v%d, the champion, is newer than v%d", p.Route.Champion, version)
	case r == nil:
		return start(p, version, fmt.Sprintf("v%d is approved", version), asks(p, version))
	case r.Version > version:
		return function.Nothing("v%d, which is being rolled out, is newer than v%d", r.Version, version)
	case standsStill(p, at):
		reason := fmt.Sprintf("the newer v%d is approved, and the rollout of v%d is held", version, r.Version)
		return replace(p, version, reason, "", asks(p, version))
	}
	return function.Nothing("v%d waits until the rollout of v%d has ended", version, r.Version)
}

// yes decides what follows from a person's approval of a version.
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
		return function.Nothing("v%d did not pass its gates: %s. Approval does not override a gate: change the gates and request another evaluation", d.Version, verdict(m))
	case r == nil:
		return start(p, d.Version, said(d), false)
	case r.Version == d.Version && moving(p):
		return next(p, said(d)+"; "+answered(p))
	case r.Version == d.Version:
		return next(p, said(d))
	}
	return replace(p, d.Version, said(d), d.By, false)
}

// said returns a person's approval as a reason.
func said(d events.PromotionApproved) string {
	by := d.By
	if by == "" {
		by = "a person"
	}
	if d.Reason == "" {
		return fmt.Sprintf("%s approved v%d", by, d.Version)
	}
	return fmt.Sprintf("%s approved v%d: %s", by, d.Version, d.Reason)
}

func verdict(m *state.Model) string {
	if m.Evaluation == nil {
		return "it has not been evaluated"
	}
	return m.Evaluation.Reason
}

// asks reports whether a person must approve the version before it gets its first
// traffic: by the pipeline file, or because it reads other columns than the
// champion, which those who send requests have to know of.
func asks(p *state.Pipeline, version int) bool { return askFirst(p) || otherColumns(p, version) != nil }

func otherColumns(p *state.Pipeline, version int) *events.ColumnChange {
	if m := p.Model(version); m != nil && m.Evaluation != nil {
		return m.Evaluation.Columns
	}
	return nil
}

// askFirst reports whether a person must approve before traffic moves.
func askFirst(p *state.Pipeline) bool {
	return p.Config.Spec.Promote.Approval == config.ApprovalRequired
}

// standsStill reports whether the rollout cannot proceed by itself: before its first approval, or held at its deadline.
func standsStill(p *state.Pipeline, at time.Time) bool {
	switch {
	case !moving(p), held(p):
		return true
	case p.Rollout.Waiting || enough(p):
		return false
	}
	return overdue(p, at) && onDeadline(p) == config.OnDeadlineHold
}

// waiting returns the newest approved version that arrived during the rollout of another one, 0 if no version waits.
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
