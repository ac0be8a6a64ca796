package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// maxPushBytes bounds a pushed event: its data and room for the attributes, in
// structured mode.
const maxPushBytes = events.MaxDataBytes + 64<<10

// push receives a function's events from a Knative broker: CloudEvents over
// HTTP, binary or structured. It answers with empty bodies, since a broker
// takes any other body of a 2xx for a failed delivery.
type push struct{ runtime *Runtime }

// Receiver receives a function's events by push.
func Receiver(r *Runtime) http.Handler { return push{r} }

func (p push) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	e, err := ReadHTTP(w, r)
	if err != nil {
		// Not an event: it would not become one by being sent again.
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o := p.runtime.Handle(r.Context(), Delivery{Envelope: e, Again: true})
	if o.Deferred {
		o.Err = p.deferred(r.Context(), e, o)
	}
	if o.Err != nil {
		http.Error(w, o.Err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// deferred notes Later in the log, for the relay to keep: Knative would count
// a 429 as an attempt.
func (p push) deferred(ctx context.Context, e events.Envelope, o Outcome) error {
	name := p.runtime.mux.name
	_, err := p.runtime.deps.Log.Append(ctx, eventlog.Commit{Pipeline: e.Pipeline, Function: name, Parent: e.Header, Data: []events.Data{
		events.EventDeferred{
			Event: e.ID, Type: e.Type, Function: name, Reason: o.Err.Error(),
			Until: time.Now().Add(o.After).UTC().Format(time.RFC3339Nano),
		},
	}})
	return err
}

// ReadHTTP reads one CloudEvent from a request, in binary or structured mode.
func ReadHTTP(w http.ResponseWriter, r *http.Request) (events.Envelope, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxPushBytes)
	ce, err := cehttp.NewEventFromHTTPRequest(r)
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			return events.Envelope{}, fmt.Errorf("the event is larger than %d bytes", maxPushBytes)
		}
		return events.Envelope{}, fmt.Errorf("this is not a CloudEvent over HTTP (binary or structured): %w", err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return FromCloudEvent(ce)
}

// FromCloudEvent turns the SDK's event into ours; every mistake at once.
func FromCloudEvent(ce *event.Event) (events.Envelope, error) {
	attrs := map[string]string{
		"specversion": ce.SpecVersion(), "id": ce.ID(), "source": ce.Source(), "type": ce.Type(),
		"subject": ce.Subject(), "datacontenttype": ce.DataContentType(),
	}
	if t := ce.Time(); !t.IsZero() {
		attrs["time"] = t.Format(time.RFC3339Nano)
	}
	for k, v := range ce.Extensions() {
		attrs[k] = fmt.Sprint(v)
	}
	h, err := events.HeaderFrom(attrs)
	if err != nil {
		return events.Envelope{}, err
	}
	return events.Envelope{Header: h, Data: ce.Data()}, nil
}
