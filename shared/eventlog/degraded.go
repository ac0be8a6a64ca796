package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotStored means that the NATS server answers but stores nothing, most often because its disk was full.
var ErrNotStored = errors.New("the event log takes no events")

// lastFailure is the newest reason why the server stored nothing. A successful append clears it.
type lastFailure struct {
	mu   sync.Mutex
	why  error
	when time.Time
}

// failureLasts is how long the last write failure is reported while nothing has been appended.
const failureLasts = time.Minute

func (r *lastFailure) note(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why, r.when = why, time.Now()
}

func (r *lastFailure) last() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.when) > failureLasts {
		return nil
	}
	return r.why
}

// Degraded returns why nothing can be stored now, as far as this process knows from its own appends of the last minute;
// nil when it knows of no reason.
func (l *Log) Degraded() error {
	if err := l.degraded(); err != nil {
		return err
	}
	return l.lastFailure.last()
}

// explainTimeout explains a publish timeout. After a failed write JetStream stops acknowledging the stream until it is
// restarted, even once space is free, while other requests still work. If such a request succeeds, report that state.
// A batch is then refused as incomplete, which a change of the leader does as well, but not for long.
func (l *Log) explainTimeout(ctx context.Context, began time.Time, err error) error {
	silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
	lost := incomplete(err) && time.Since(began) > attemptTimeout
	if l.embedded || !silent && !lost {
		return err
	}
	probe, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout/5)
	defer cancel()
	if _, unreachable := l.js.Stream(probe, Stream); unreachable != nil {
		return err
	}
	err = fmt.Errorf("%w: the NATS server at %s answers, but has stored nothing for %s; if its disk is or was full, free some space and restart the server; Millrace then continues by itself",
		ErrNotStored, l.nc.ConnectedUrlRedacted(), time.Since(began).Round(time.Second))
	l.lastFailure.note(err)
	return err
}

// incomplete reports whether the server has lost a batch before its end.
func incomplete(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == 10176
}
