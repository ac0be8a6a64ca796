package function

import (
	"context"
	"fmt"
)

// bounded ends a handling at its handler's timeout.
func bounded(m *Mux) middleware {
	return func(next handler) handler {
		return func(ctx context.Context, d Delivery) Outcome {
			limit := defaultTimeout
			if r, ok := m.handlers[d.Type]; ok {
				limit = r.timeout
			}
			inner, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			o := next(inner, d)
			if o.Err != nil && inner.Err() != nil && ctx.Err() == nil {
				o.Err = fmt.Errorf("not done within %s: %w", limit, o.Err)
			}
			return o
		}
	}
}
