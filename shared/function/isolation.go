package function

import (
	"context"
	"math"

	"golang.org/x/sync/semaphore"
)

// Isolation lets the handlers of a process run concurrently, except that an
// event suspected of crashing the process runs alone. The functions of a
// process share one. It is safe for concurrent use.
type Isolation struct{ slots *semaphore.Weighted }

// NewIsolation returns an isolation that no handler has entered.
func NewIsolation() *Isolation { return &Isolation{semaphore.NewWeighted(math.MaxInt64)} }

// enter waits until the handler may run. With alone it waits until no other
// handler runs; later callers do not overtake such a waiter.
func (i *Isolation) enter(ctx context.Context, alone bool) (leave func(), err error) {
	slots := int64(1)
	if alone {
		slots = math.MaxInt64
	}
	if err := i.slots.Acquire(ctx, slots); err != nil {
		return nil, err
	}
	return func() { i.slots.Release(slots) }, nil
}
