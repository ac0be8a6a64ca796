package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/access"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
	"millrace.dev/triggers"
)

// The rights of senders of events. Machines send what they have noticed: that an
// object has changed, that a schedule is due, events of other systems. They need
// the role upload, and nothing at the internal gateway and in the inbox, which
// cannot be reached from outside. Every other type of Millrace's own is a
// person's decision, or ends a run, and needs the role operate everywhere.

// sender returns who sent a request that may have needed no token.
func (f *F) sender(r *http.Request) access.Caller {
	if c, ok := access.CallerOf(r.Context()); ok {
		return c
	}
	c, _ := f.deps.Guard.Caller(r.Context(), r.Header) // anonymous with a wrong token
	if f.cfg.Internal {
		return c.With(access.Upload)
	}
	return c
}

// machine is a sender that shows no token and needs none.
func machine() access.Caller { return access.Caller{Kind: access.Unauthenticated}.With(access.Upload) }

// may returns the answer to a sender that has none of the roles for the
// pipeline. What the process itself emits has no sender.
func may(ctx context.Context, need access.Roles, pipeline string) error {
	err := access.Check(ctx, need, pipeline)
	if err == nil {
		return nil
	}
	return errorOf(err)
}

// mayDecide is may for a decision of a person.
func mayDecide(ctx context.Context, kind, pipeline string) error {
	err := access.Check(ctx, access.Operate, pipeline)
	if err == nil {
		return nil
	}
	e := errorOf(err)
	if c, _ := access.CallerOf(ctx); c.Name == "" {
		return httperror.New(e.Status, "%s is a decision, which needs a token with the role operate", kind).
			Try("send it to the gateway with the header Authorization: Bearer <token>, or use the command millrace")
	}
	return e
}

// aheadOfTime is how far the clock of a sender of ticks may be ahead of ours.
const aheadOfTime = 2 * time.Minute

// mayTick refuses a tick that no schedule is the reason of: it would be a
// decision of its sender.
func mayTick(ctx context.Context, tick events.ScheduleTicked, p *state.Pipeline) error {
	if access.Check(ctx, access.Operate, p.Name) == nil {
		return nil
	}
	if err := may(ctx, access.Upload, p.Name); err != nil {
		return err
	}
	if at, err := time.Parse(time.RFC3339, tick.Due); err == nil && at.After(time.Now().Add(aheadOfTime)) {
		return httperror.New(http.StatusForbidden, "the tick of %.60q is due at %s, which is still to come, so that it is a decision, which needs a token with the role operate", tick.Schedule, tick.Due)
	}
	own := func(s config.Schedule) bool { return s.Name == tick.Schedule && s.Do == tick.Action }
	if slices.ContainsFunc(p.Config.Spec.Schedules, own) {
		return nil
	}
	_, system, err := triggers.Embedded()
	if err != nil {
		return fmt.Errorf("read the schedules of the system: %w", err)
	}
	if slices.ContainsFunc(system, func(s triggers.Schedule) bool { return s.Name == tick.Schedule && s.Action == tick.Action }) {
		return nil
	}
	return httperror.New(http.StatusForbidden, "the pipeline %s has no schedule %.60q with the action %.60q, so that this tick is a decision, which needs a token with the role operate", p.Name, tick.Schedule, tick.Action)
}

// causedBy are the attributes that say who caused an event.
func causedBy(ctx context.Context) map[string]string {
	c, _ := access.CallerOf(ctx)
	return c.Attributes()
}
