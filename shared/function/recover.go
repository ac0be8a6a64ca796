package function

import (
	"context"
	"fmt"
	"runtime/debug"
)

// recovered turns a panic of a handler into an error with its stack.
func recovered(next handler) handler {
	return func(ctx context.Context, d Delivery) (o Outcome) {
		defer func() {
			if v := recover(); v != nil {
				o = Outcome{Err: fmt.Errorf("the handler panicked: %v\n%s", v, debug.Stack())}
			}
		}()
		return next(ctx, d)
	}
}
