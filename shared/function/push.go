package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent"
	"millrace.dev/shared/eventlog"
	"millrace.dev/triggers"
)

// maxPushBytes bounds a pushed event: its data and room for the attributes, in
// structured mode.
const maxPushBytes = events.MaxDataBytes + 64<<10

// AttributeSequence is the CloudEvents extension by which the relay says where
// in the log a pushed event is.
const AttributeSequence = "logsequence"

// push receives a function's events from a Knative broker: CloudEvents over
// HTTP, binary or structured. It answers with empty bodies, since a broker
// treats a 2xx with a body that is not an event as a failed delivery.
//
// A push is only a hint, since any client that reaches the function can send
// one. The function handles the event that the log has at the sequence named by
// the push. A push that is not an event of the log for this function is refused
// and only counted in a metric.
type push struct {
	runtime *Runtime
	trigger triggers.Trigger
	refused *prometheus.CounterVec
}

// Receiver returns a handler that receives by push the events that the trigger selects for the function.
func Receiver(r *Runtime, t triggers.Trigger) http.Handler {
	refused := register(r.deps.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_pushes_refused_total", Help: "Pushed events that were refused, by function and reason: unreadable, unplaced, missing, different or unwanted.",
	}, []string{"function", "reason"})).MustCurryWith(prometheus.Labels{"function": r.mux.name})
	return push{r, t, refused}
}

func (p push) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	hint, err := ReadHTTP(w, r)
	if err != nil {
		// Not an event: it would not become one by being sent again.
		p.refuse(w, &refusal{http.StatusBadRequest, "unreadable", err.Error()})
		return
	}
	e, err := p.believe(r.Context(), hint)
	if no, ok := errors.AsType[*refusal](err); ok {
		p.refuse(w, no)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
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

// refusal is why a push is not handled.
type refusal struct {
	status       int
	reason, text string
}

func (r *refusal) Error() string { return r.text }

func (p push) refuse(w http.ResponseWriter, r *refusal) {
	p.refused.WithLabelValues(r.reason).Inc()
	http.Error(w, r.text, r.status)
}

// believe returns the event of the log that the push names, or a refusal. The
// leader is asked: another replica may not have an event that was just
// committed.
func (p push) believe(ctx context.Context, hint events.Envelope) (events.Envelope, error) {
	said := hint.Attributes[AttributeSequence]
	sequence, err := strconv.ParseUint(said, 10, 64)
	if err != nil || sequence == 0 {
		return events.Envelope{}, &refusal{http.StatusBadRequest, "unplaced", fmt.Sprintf(
			"%s handles events of the event log only, and this one does not say its sequence there (attribute %s is %.40q): send events to the gateway", p.runtime.mux.name, AttributeSequence, said)}
	}
	found, ok, err := p.runtime.deps.Log.At(ctx, sequence)
	switch {
	case err != nil:
		return events.Envelope{}, err
	case !ok:
		// A leader that was just elected may not have it yet: send it again.
		return events.Envelope{}, &refusal{http.StatusServiceUnavailable, "missing", fmt.Sprintf("the event log has no event %d", sequence)}
	case found.ID != hint.ID || found.Source != hint.Source || found.Type != hint.Type:
		return events.Envelope{}, &refusal{http.StatusForbidden, "different", fmt.Sprintf(
			"event %d of the event log is another one: its id, source or type differs from what was pushed", sequence)}
	case p.trigger.Types != nil && !slices.Contains(p.trigger.Types, found.Type), !p.trigger.Matches(Attributes(found.Envelope)):
		return events.Envelope{}, &refusal{http.StatusForbidden, "unwanted", fmt.Sprintf(
			"the trigger of %s does not match event %d of the event log", p.runtime.mux.name, sequence)}
	}
	return found.Envelope, nil
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

// ReadHTTP reads one CloudEvent from a request, in the binary or the structured
// mode.
func ReadHTTP(w http.ResponseWriter, r *http.Request) (events.Envelope, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPushBytes))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return events.Envelope{}, fmt.Errorf("the event is larger than %d bytes", maxPushBytes)
	}
	if err != nil {
		return events.Envelope{}, fmt.Errorf("read the event: %w", err)
	}
	es, err := cloudevent.FromHTTP(r.Header, body)
	if err != nil {
		return events.Envelope{}, err
	}
	if len(es) != 1 {
		return events.Envelope{}, fmt.Errorf("the request has %d events; one is taken at a time", len(es))
	}
	return es[0], nil
}
