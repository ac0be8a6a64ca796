package function

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// recovered turns a panic of a handler into an error. The stack is in the
// log line; the dead letter has the reason only.
func recovered(logger *slog.Logger) middleware {
	return func(next handler) handler {
		return func(ctx context.Context, d Delivery) (o Outcome) {
			defer func() {
				if v := recover(); v != nil {
					logger.ErrorContext(ctx, "a handler panicked", "panic", v, "event", d.ID, "type", d.Type, "stack", string(debug.Stack()))
					o = Outcome{Err: fmt.Errorf("the handler panicked: %v", v)}
				}
			}()
			return next(ctx, d)
		}
	}
}
