package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"millrace.dev/events"
)

// Query selects events.
type Query struct {
	// Pipeline and Types select events; empty ones select all. A type may be
	// written in its short form, such as model.promoted.
	Pipeline string
	Types    []string
	// From is the first sequence; 0 for the newest Limit.
	From  uint64
	Limit int
}

func (q Query) values() url.Values {
	v := url.Values{}
	if q.Pipeline != "" {
		v.Set("pipeline", q.Pipeline)
	}
	for _, t := range q.Types {
		v.Add("type", t)
	}
	if q.From > 0 {
		v.Set("from", strconv.FormatUint(q.From, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Events yields the events that the log has now.
func (c *Client) Events(ctx context.Context, q Query) iter.Seq2[events.Envelope, error] {
	return func(yield func(events.Envelope, error) bool) {
		_ = c.stream(ctx, q.values(), yield)
	}
}

// Event returns the event with an id or an unambiguous prefix of it.
func (c *Client) Event(ctx context.Context, pipeline, id string) (events.Envelope, error) {
	query := url.Values{}
	if pipeline != "" {
		query.Set("pipeline", pipeline)
	}
	var e events.Envelope
	if err := c.Get(ctx, &e, query, "api/events", id); err != nil {
		return e, err
	}
	return placed(e), nil
}

// The pause of a follower before it reconnects, and how many failures in a row
// end it.
const (
	reconnectAfter = 500 * time.Millisecond
	reconnectMost  = 20
)

// Follow yields the events of the log, and then those that are appended, until
// ctx ends. It reconnects when the connection breaks, and yields no event twice.
func (c *Client) Follow(ctx context.Context, q Query) iter.Seq2[events.Envelope, error] {
	return func(yield func(events.Envelope, error) bool) {
		failures := 0
		for {
			v := q.values()
			v.Set("follow", "true")
			done := false
			err := c.stream(ctx, v, func(e events.Envelope, err error) bool {
				if err != nil {
					return false
				}
				failures = 0
				q.From, q.Limit = e.Sequence+1, 0
				done = !yield(e, nil)
				return !done
			})
			refused, _ := errors.AsType[*Error](err)
			switch {
			case done:
				return
			case ctx.Err() != nil:
				yield(events.Envelope{}, context.Cause(ctx))
				return
			case refused != nil && refused.Status/100 == 4:
				yield(events.Envelope{}, err)
				return
			case err != nil:
				if failures++; failures > reconnectMost {
					yield(events.Envelope{}, err)
					return
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(reconnectAfter):
			}
		}
	}
}

// maxLine bounds one event as the API writes it.
const maxLine = 2 << 20

// stream reads events, one JSON object a line. It yields an error and returns
// it too.
func (c *Client) stream(ctx context.Context, v url.Values, yield func(events.Envelope, error) bool) error {
	fail := func(err error) error {
		yield(events.Envelope{}, err)
		return err
	}
	answer, err := c.send(ctx, http.MethodGet, c.url(v, "api/events"), nil, nil)
	if err != nil {
		return fail(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		var e events.Envelope
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fail(notMillrace(c, err))
		}
		if !yield(placed(e), nil) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fail(c.unreachable(ctx, err))
	}
	return nil
}

// placed moves the sequence from the event's attribute to its field.
func placed(e events.Envelope) events.Envelope {
	if n, err := strconv.ParseUint(e.Attributes["sequence"], 10, 64); err == nil {
		e.Sequence = n
		delete(e.Attributes, "sequence")
	}
	return e
}
