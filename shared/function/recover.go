package function

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// recovered turns a panic of a handler into an error. The stack goes to the
// log line, for who mends the handler; the dead letter says what happened.
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
