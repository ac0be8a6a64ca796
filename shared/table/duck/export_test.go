package duck

import "context"

// RunInSandbox runs a statement without looking at it first.
func RunInSandbox(ctx context.Context, query string) error {
	return inSandbox(ctx, func(s *sandbox) error { return s.exec(ctx, query) })
}
