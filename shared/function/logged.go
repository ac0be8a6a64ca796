package function

import (
	"context"
	"log/slog"

	"millrace.dev/events"
)

// logged writes one line for each failure and dead letter. A success is in the
// event log and only a debug line here.
func logged(logger *slog.Logger) middleware {
	return func(next handler) handler {
		return func(ctx context.Context, d Delivery) Outcome {
			o := next(ctx, d)
			if o.Err == nil && o.name() != "deadletter" && !logger.Enabled(ctx, slog.LevelDebug) {
				return o
			}
			l := logger.With("event", d.ID, "type", d.Type, "subject", d.Subject)
			switch {
			case o.Deferred:
				l.DebugContext(ctx, "deferred", "after", o.After, "reason", o.Err)
			case o.Err != nil:
				l.WarnContext(ctx, "handling failed; it is tried again", "error", o.Err, "after", o.After)
			case o.name() == "deadletter":
				var letter events.DeadLetterRecorded
				if e, err := events.Decode[events.DeadLetterRecorded](o.Events[0]); err == nil {
					letter = e.Data
				}
				l.ErrorContext(ctx, "given up: dead letter", "reason", letter.Reason, "attempts", letter.Attempts, "deadletter", o.Events[0].ID)
			default:
				l.DebugContext(ctx, "handled", "announced", len(o.Events), "duplicate", o.Duplicate)
			}
			return o
		}
	}
}
