package function

import (
	"context"
	"math"

	"golang.org/x/sync/semaphore"
)

// Room is where the handlings of a process take place: as many at a time as
// there are workers, but an event that may have ended the process before is
// alone in it. Functions of one process share one. It is safe for concurrent
// use.
type Room struct{ places *semaphore.Weighted }

// NewRoom makes an empty room.
func NewRoom() *Room { return &Room{semaphore.NewWeighted(math.MaxInt64)} }

// enter waits for a place, or for all of them. Who waits for all is not
// overtaken.
func (r *Room) enter(ctx context.Context, alone bool) (leave func(), err error) {
	places := int64(1)
	if alone {
		places = math.MaxInt64
	}
	if err := r.places.Acquire(ctx, places); err != nil {
		return nil, err
	}
	return func() { r.places.Release(places) }, nil
}
