package function_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// TestPushIsAHint pushes what the log does not have, or has otherwise: it is
// refused with the reason and leaves no trace but a metric.
func TestPushIsAHint(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	s := &subject{calls: map[int]int{}, handle: func(context.Context, int, events.Event[events.EvaluationRequested], *state.Pipeline) ([]events.Data, error) {
		return announce("pushed")
	}}
	m := function.NewMux("subject")
	s.Register(m)
	deps := b.Deps(t, "subject")
	metrics := prometheus.NewRegistry()
	deps.Metrics = metrics
	r, err := function.NewRuntime(t.Context(), m, deps, functiontest.Retry)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(function.Receiver(r, trigger))
	t.Cleanup(server.Close)

	real := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0]
	other := b.Announce(t, pipeline, "gateway", events.TrainingRequested{Reason: "of a type that no trigger leads here"})[0]
	last, err := b.Log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*events.Envelope)) events.Envelope {
		e := real
		f(&e)
		return e
	}
	for name, c := range map[string]struct {
		event  events.Envelope
		status int
		text   string
		reason string
	}{
		"no sequence":      {change(func(e *events.Envelope) { e.Sequence = 0 }), 400, "does not say its sequence", "unplaced"},
		"beyond the log":   {change(func(e *events.Envelope) { e.Sequence = last + 1000 }), 503, "the event log has no event", "missing"},
		"another id":       {change(func(e *events.Envelope) { e.ID = "forged" }), 403, "is another one", "different"},
		"another source":   {change(func(e *events.Envelope) { e.Source = "urn:pod" }), 403, "is another one", "different"},
		"another type":     {change(func(e *events.Envelope) { e.Type = events.PromotionApproved{}.EventType() }), 403, "is another one", "different"},
		"another's event":  {change(func(e *events.Envelope) { e.Sequence = other.Sequence }), 403, "is another one", "different"},
		"no trigger's own": {other, 403, "the trigger of subject does not match", "unwanted"},
	} {
		for mode, structured := range map[string]bool{"binary": false, "structured": true} {
			before := refusals(t, metrics, c.reason)
			status, body := post(t.Context(), t, server.URL, c.event, structured)
			if status != c.status || !strings.Contains(body, c.text) {
				t.Errorf("%s, %s: %d %s", name, mode, status, body)
			}
			if got := refusals(t, metrics, c.reason); got != before+1 {
				t.Errorf("%s, %s: %v refusals for the reason %s, had %v", name, mode, got, c.reason, before)
			}
		}
	}
	resp, err := http.Post(server.URL, "text/plain", strings.NewReader("no event"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || refusals(t, metrics, "unreadable") != 1 {
		t.Errorf("what is no event is answered %d", resp.StatusCode)
	}
	if now, err := b.Log.Last(t.Context()); err != nil || now != last {
		t.Errorf("the log has moved from %d to %d, %v", last, now, err)
	}
	if n := s.called(1); n != 0 {
		t.Errorf("the handler was called %d times", n)
	}

	// The event itself is handled as the log has it, whatever the push says.
	forged := change(func(e *events.Envelope) {
		e.Data, e.Pipeline, e.Subject = []byte(`{"version":7}`), "other", "other/model/7"
	})
	if status, body := post(t.Context(), t, server.URL, forged, false); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	if s.called(1) != 1 || s.called(7) != 0 {
		t.Errorf("called %d times for what the log has and %d times for what was pushed", s.called(1), s.called(7))
	}
	left, err := b.Log.Record(t.Context(), pipeline, "subject", events.CauseOf(real.Header))
	if err != nil || len(left) != 1 || left[0].CausationID != real.ID {
		t.Errorf("left %+v, %v", left, err)
	}
}

// refusals is the metric of refused pushes for a reason.
func refusals(t *testing.T, metrics *prometheus.Registry, reason string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "millrace_pushes_refused_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["function"] == "subject" && labels["reason"] == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
