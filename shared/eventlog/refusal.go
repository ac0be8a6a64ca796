package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNotStored says that the NATS server answers and stores nothing: most
// often its disk was full.
var ErrNotStored = errors.New("the event log takes no events")

// refusal is the newest reason why the server stored nothing, until it stores
// something.
type refusal struct {
	mu   sync.Mutex
	why  error
	when time.Time
}

// refusalLasts is how long a refusal is told of when nothing was appended since.
const refusalLasts = time.Minute

func (r *refusal) note(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why, r.when = why, time.Now()
}

func (r *refusal) last() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.when) > refusalLasts {
		return nil
	}
	return r.why
}

// Trouble says why nothing can be stored now, as far as this process knows
// from its own appends of the last minute; nil when nothing speaks against it.
func (l *Log) Trouble() error {
	if err := l.trouble(); err != nil {
		return err
	}
	return l.refused.last()
}

// unanswered says what it means that an append was not answered. A JetStream
// that could not write a stream never answers for it again until it is started
// anew, not even with space; all else of it goes on. So when it answers a
// question, that is what a person has to be told.
func (l *Log) unanswered(ctx context.Context, began time.Time, err error) error {
	if l.own || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout/5)
	defer cancel()
	if _, silent := l.js.Stream(ask, Stream); silent != nil {
		return err
	}
	err = fmt.Errorf("%w: the NATS server at %s answers, but has stored nothing for %s; if its disk is full or was, free some space on it and restart it, Millrace then goes on by itself",
		ErrNotStored, l.nc.ConnectedUrlRedacted(), time.Since(began).Round(time.Second))
	l.refused.note(err)
	return err
}
