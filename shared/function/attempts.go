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

// attempts counts how often the handling of an event was started, in a KV
// bucket beside the log. First deliveries are not recorded. If a redelivery has
// no entry, the receiver's own count is used.
type attempts struct{ kv jetstream.KeyValue }

type attempt struct {
	// Count is how many attempts failed through the event's own fault: with an
	// error, or with the end of the process while nothing else was handled.
	Count int `json:"count"`
	// Unreported counts the attempts started since the last one that reported a
	// result, including any still running.
	Unreported int       `json:"silent"`
	First      time.Time `json:"first"`
	// Failing is the event whose newest attempt failed and that is tried again,
	// nil while it is not known to fail.
	Failing *Failing `json:"failing,omitempty"`
}

// maxUnreported attempts in a row may run beside other handlers. After that the
// event is handled in isolation: before, we cannot tell which of the events in
// flight, if any, crashed the process.
const maxUnreported = 2

// alone reports whether the attempt must run in isolation.
func (a attempt) alone() bool { return a.Unreported > maxUnreported }

func openAttempts(ctx context.Context, log *eventlog.Log) (*attempts, error) {
	kv, err := log.Bucket(ctx, eventlog.Attempts)
	if err != nil {
		return nil, err
	}
	return &attempts{kv}, nil
}

func attemptKey(function string, h events.Header) string {
	return function + "." + events.CauseOf(h)
}

// next returns the attempt that would start now. In isolation it counts at once.
func (a *attempts) next(ctx context.Context, function string, d Delivery) (attempt, error) {
	if !d.Again {
		return attempt{Unreported: 1, First: time.Now().UTC()}, nil
	}
	at, err := a.get(ctx, function, d)
	if err != nil {
		return attempt{}, err
	}
	at.Unreported++
	if at.alone() {
		at.Count++
	}
	return at, nil
}

// begin records an attempt before it starts.
func (a *attempts) begin(ctx context.Context, function string, d Delivery, at attempt) error {
	if !d.Again {
		return nil
	}
	return a.put(ctx, function, d.Header, at)
}

// failed counts an attempt that ended in an error.
func (a *attempts) failed(ctx context.Context, function string, d Delivery, at attempt, retry Retry, reason error) (attempt, error) {
	if !at.alone() {
		at.Count++
	}
	at.Unreported = 0
	at.Failing = &Failing{
		Function: function, Pipeline: d.Pipeline, Event: d.ID, Type: d.Type, Subject: d.Subject, Cause: events.CauseOf(d.Header),
		Attempt: at.Count, Attempts: retry.Attempts, First: at.First, Next: time.Now().UTC().Add(retry.pause(at.Count)), Reason: cut(reason.Error()),
	}
	return at, a.put(ctx, function, d.Header, at)
}

// done forgets an event that has failed and is handled or given up now. If that
// is lost, its entry expires.
func (a *attempts) done(ctx context.Context, function string, d Delivery, at attempt) error {
	if at.Count == 0 {
		return nil
	}
	return a.kv.Delete(ctx, attemptKey(function, d.Header))
}

// uncounted takes an attempt back that ended without a fault of the event: in
// Later, or because the process is stopping.
func (a *attempts) uncounted(ctx context.Context, function string, d Delivery, at attempt) error {
	if at.alone() {
		at.Count--
	}
	at.Unreported = 0
	return a.put(ctx, function, d.Header, at)
}

func (a *attempts) get(ctx context.Context, function string, d Delivery) (attempt, error) {
	first := attempt{Unreported: d.Before, First: d.Time}
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
		return first, nil //nolint:nilerr // an unreadable entry counts as no entry
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
