package function

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// attempts counts how often an event was begun, in a KV bucket beside the log.
// A delivery known to be the first is not written down: without an entry, one
// that comes again had as many before it as the receiver knows of.
type attempts struct{ kv jetstream.KeyValue }

type attempt struct {
	// Count is how many attempts were the event's own fault: they ended in an
	// error, or with the process while nothing else was being handled.
	Count int `json:"count"`
	// Silent is how many were begun since the last that ended in a word. What
	// begins is one of them until it ends.
	Silent int       `json:"silent"`
	First  time.Time `json:"first"`
}

// silentTogether is after how many attempts in a row that ended without a word
// an event is handled alone. Until then any of the events that were being
// handled may have ended the process, or none.
const silentTogether = 2

// alone says that nothing else is to be handled meanwhile.
func (a attempt) alone() bool { return a.Silent > silentTogether }

// attemptsKept bounds how long a count is remembered.
const attemptsKept = 7 * 24 * time.Hour

func openAttempts(ctx context.Context, log *eventlog.Log) (*attempts, error) {
	replicas, err := log.Replicas(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := log.JetStream().CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: "ATTEMPTS", Description: "How often an event was begun by a function, from the second time on", History: 1, TTL: attemptsKept, Replicas: replicas,
	})
	if err != nil {
		return nil, err
	}
	return &attempts{kv}, nil
}

func attemptKey(function string, h events.Header) string {
	return function + "." + events.CauseOf(h)
}

// next is the attempt that would begin now. Made alone it counts at once.
func (a *attempts) next(ctx context.Context, function string, d Delivery) (attempt, error) {
	if !d.Again {
		return attempt{Silent: 1, First: time.Now().UTC()}, nil
	}
	at, err := a.get(ctx, function, d)
	if err != nil {
		return attempt{}, err
	}
	at.Silent++
	if at.alone() {
		at.Count++
	}
	return at, nil
}

// begin writes an attempt down before it is made.
func (a *attempts) begin(ctx context.Context, function string, d Delivery, at attempt) error {
	if !d.Again {
		return nil
	}
	return a.put(ctx, function, d.Header, at)
}

// failed counts an attempt that ended in an error.
func (a *attempts) failed(ctx context.Context, function string, d Delivery, at attempt) (attempt, error) {
	if !at.alone() {
		at.Count++
	}
	at.Silent = 0
	return at, a.put(ctx, function, d.Header, at)
}

// deferred takes an attempt back that ended in Later.
func (a *attempts) deferred(ctx context.Context, function string, d Delivery, at attempt) error {
	if at.alone() {
		at.Count--
	}
	at.Silent = 0
	return a.put(ctx, function, d.Header, at)
}

func (a *attempts) get(ctx context.Context, function string, d Delivery) (attempt, error) {
	first := attempt{Silent: d.Before, First: d.Time}
	if d.Before == 0 {
		first.First = time.Now().UTC()
	}
	e, err := a.kv.Get(ctx, attemptKey(function, d.Header))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return first, nil
	}
	if err != nil {
		return attempt{}, err
	}
	var at attempt
	if err := json.Unmarshal(e.Value(), &at); err != nil {
		return first, nil //nolint:nilerr // an entry that cannot be read counts as none
	}
	return at, nil
}

func (a *attempts) put(ctx context.Context, function string, h events.Header, at attempt) error {
	b, err := json.Marshal(at)
	if err != nil {
		return err
	}
	_, err = a.kv.Put(ctx, attemptKey(function, h), b)
	return err
}
