package gateway

import (
	"context"

	"millrace.dev/functions/gateway/notification"
	"millrace.dev/shared/access"
	"millrace.dev/shared/state"
)

// outcome is the result of an event or notification from outside.
type outcome string

const (
	taken     outcome = "taken"
	duplicate outcome = "duplicate"
	unwanted  outcome = "unwanted"
)

// emitNotice emits a notice in every pipeline that takes the object.
func (f *F) emitNotice(ctx context.Context, n notification.Notice) (outcome, error) {
	all, err := f.deps.States.Configured(ctx)
	if err != nil {
		return "", err
	}
	out := unwanted
	for _, p := range filter(all, n.Bucket, n.Key) {
		if n.Removed && !concerns(p, n) {
			continue
		}
		if err := may(ctx, access.Upload|access.Operate, p.Name); err != nil {
			return "", err
		}
		_, again, err := f.emit(ctx, p.Name, n.Cause(), n.Data())
		switch {
		case err != nil:
			return "", err
		case !again:
			out = taken
		case out == unwanted:
			out = duplicate
		}
	}
	if out == unwanted {
		f.deps.Logger.InfoContext(ctx, "no pipeline takes the object", "bucket", n.Bucket, "key", n.Key, "event", n.Name)
	}
	return out, nil
}

// concerns reports whether a removal refers to the object that the pipeline
// knows: not an older version of it, and not an unknown one, unless the
// sequencer can order it before an upload that is still to come.
func concerns(p *state.Pipeline, n notification.Notice) bool {
	o := p.Objects[n.Object.Name()]
	if o == nil {
		return n.Sequencer != ""
	}
	return n.Version == "" || o.Version == "" || n.Version == o.Version
}
