package relay

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"millrace.dev/events"
	"millrace.dev/shared/function"
)

// broker is the ingress of a Knative broker.
type broker struct {
	url    string
	client *http.Client
	shared shared
}

// refused is an answer by which the broker will not take the event however
// often it is sent.
type refused struct{ answer string }

func (r *refused) Error() string { return "the broker refused the event: " + r.answer }

var forGood = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}

// send gives an event to the broker. A nil error says that the broker has
// taken it, and no more.
func (b *broker) send(ctx context.Context, e events.Envelope) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, http.NoBody)
	if err != nil {
		return err
	}
	ce, err := cloudEvent(e)
	if err != nil {
		return &refused{err.Error()}
	}
	if err := cehttp.WriteRequest(ctx, binding.ToMessage(ce), req); err != nil {
		return &refused{err.Error()}
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return fmt.Errorf("send to the broker: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	answer := strings.TrimSpace(resp.Status + " " + string(said))
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case slices.Contains(forGood, resp.StatusCode):
		return &refused{answer}
	}
	return fmt.Errorf("the broker at %s answers %s", b.url, answer)
}

// cloudEvent returns the event as the broker gets it: with via: log, the log's
// time, and its sequence in the log, by which the function reads it there.
func cloudEvent(e events.Envelope) (*event.Event, error) {
	ce := event.New()
	ce.SetID(e.ID)
	ce.SetSource(e.Source)
	ce.SetType(e.Type)
	ce.SetSubject(e.Subject)
	ce.SetTime(e.Time)
	for k, v := range e.Extensions() {
		ce.SetExtension(k, v)
	}
	ce.SetExtension("via", "log")
	ce.SetExtension(function.AttributeSequence, strconv.FormatUint(e.Sequence, 10))
	if len(e.Data) > 0 {
		if err := ce.SetData("application/json", []byte(e.Data)); err != nil {
			return nil, err
		}
	}
	return &ce, ce.Validate()
}

// sharedKept bounds the requests that lanes can share.
const sharedKept = 1024

// shared are the newest requests for events that several lanes want: the
// broker leads one to all of them. What is forgotten is sent once more.
type shared struct {
	mu       sync.Mutex
	requests map[uint64]*request
	order    []uint64
}

type request struct {
	done chan struct{}
	err  error
}

// once sends the event of a sequence unless another lane has done so or is
// about to.
func (s *shared) once(ctx context.Context, sequence uint64, send func() error) error {
	s.mu.Lock()
	if s.requests == nil {
		s.requests = map[uint64]*request{}
	}
	r := s.requests[sequence]
	if r == nil {
		r = &request{done: make(chan struct{})}
		s.requests[sequence] = r
		if s.order = append(s.order, sequence); len(s.order) > sharedKept {
			delete(s.requests, s.order[0])
			s.order = slices.Delete(s.order, 0, 1)
		}
		s.mu.Unlock()
		r.err = send()
		close(r.done)
		return r.err
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		if r.err == nil {
			return nil
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	return send()
}
