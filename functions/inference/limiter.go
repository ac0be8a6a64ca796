package inference

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"millrace.dev/config"
	"millrace.dev/functions/inference/codec"
)

// limits bound the requests for one model, so that a slow one leaves the others alone.
type limits struct {
	slots   int           // requests worked on at a time
	queue   int           // how many more may wait
	wait    time.Duration // how long they may
	timeout time.Duration // how long a request may be worked on
}

// limitsOf returns the limits of a model: those of its pipeline file, else the installation's.
func (f *F) limitsOf(s config.Serve) limits {
	l := limits{f.cfg.Concurrency, f.cfg.Queue, f.cfg.QueueWait, f.cfg.Timeout}
	if s.Concurrency > 0 {
		l.slots = s.Concurrency
	}
	if s.Queue != nil {
		l.queue = *s.Queue
	}
	if s.Timeout > 0 {
		l.timeout = time.Duration(s.Timeout)
	}
	return l
}

// limiter bounds how many requests are worked on at a time. Some more wait for a
// short while; the rest is refused with 429.
type limiter struct {
	limits
	model  string
	slots  chan struct{}
	queued atomic.Int64
	// full is when a request first found no slot since the last answer, as Unix nanoseconds; 0 if none did.
	full atomic.Int64
}

func newLimiter(model string, l limits) *limiter {
	return &limiter{limits: l, model: model, slots: make(chan struct{}, l.slots)}
}

// busy is the answer to a request that gets no slot.
func (l *limiter) busy() error {
	return &codec.Error{Status: http.StatusTooManyRequests, Text: "too many requests for " + l.model + " at once", Hint: "try again in a second"}
}

// enter takes a slot; leave returns it.
func (l *limiter) enter(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	l.full.CompareAndSwap(0, time.Now().UnixNano())
	defer l.queued.Add(-1)
	if l.queued.Add(1) > int64(l.queue) {
		return l.busy()
	}
	t := time.NewTimer(l.wait)
	defer t.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-t.C:
		return l.busy()
	case <-ctx.Done():
		return codec.Errorf(codec.StatusClientClosed, "the client has closed the request")
	}
}

func (l *limiter) leave() { <-l.slots }

// answered notes that the model has answered.
func (l *limiter) answered() {
	if l.full.Load() != 0 {
		l.full.Store(0)
	}
}

// stuck returns for how long all slots have been taken without an answer, if that is longer than a request may take.
func (l *limiter) stuck() time.Duration {
	since := l.full.Load()
	if since == 0 || len(l.slots) < cap(l.slots) {
		return 0
	}
	if d := time.Since(time.Unix(0, since)); d > l.timeout {
		return d
	}
	return 0
}

// maxOverdue is how long a run may take to stop after it was ended.
const maxOverdue = 5 * time.Second

// stuck returns why the model does not answer although it is loaded, "" if it does.
func (s *served) stuck() string {
	for _, sh := range s.shares {
		if d := sh.version.model.Overdue(); d > maxOverdue {
			return fmt.Sprintf("a run of version %d was ended %s ago and has not stopped", sh.version.number, d.Round(time.Second))
		}
	}
	if d := s.limiter.stuck(); d > 0 {
		return fmt.Sprintf("%d requests have been worked on for %s, and none was answered", s.limiter.limits.slots, d.Round(time.Second))
	}
	return ""
}
