package inference

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// gate bounds how many requests are worked on at a time. Some more wait for a
// short while; the rest is told to come again.
type gate struct {
	slots  chan struct{}
	queued atomic.Int64
	queue  int64
	wait   time.Duration
}

func newGate(slots, queue int, wait time.Duration) *gate {
	return &gate{slots: make(chan struct{}, slots), queue: int64(queue), wait: wait}
}

var errBusy error = &mistake{code: http.StatusTooManyRequests, text: "too many requests at once; try again in a second"}

// enter takes a slot, which leave gives back.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.queued.Add(-1)
	if g.queued.Add(1) > g.queue {
		return errBusy
	}
	t := time.NewTimer(g.wait)
	defer t.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-t.C:
		return errBusy
	case <-ctx.Done():
		return mistakef(statusGone, "the client has gone")
	}
}

func (g *gate) leave() { <-g.slots }
