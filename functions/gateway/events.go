package gateway

import (
	"context"
	"net/http"

	"millrace.dev/shared/access"
	"millrace.dev/shared/failpoint"
)

// maxEvents bounds the body of POST /events: a batch of events, or what an
// object store sends at once.
const maxEvents = 8 << 20

func (f *F) postEvents(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxEvents)
	if err != nil {
		return err
	}
	as, ok, err := eventArrivals(r.Header, body)
	if err != nil {
		f.count("http", "", err)
		return err
	}
	if !ok {
		return f.notification(w, r, "", body)
	}
	return f.answer(w, r, as)
}

// postNotification takes what an object store sends to its own path; a
// CloudEvent is taken there too.
func (f *F) postNotification(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxEvents)
	if err != nil {
		return err
	}
	as, ok, err := eventArrivals(r.Header, body)
	if err != nil || ok {
		if err == nil {
			err = f.answer(w, r, as)
		}
		return err
	}
	return f.notification(w, r, r.PathValue("store"), body)
}

func (f *F) notification(w http.ResponseWriter, r *http.Request, store string, body []byte) error {
	as, code, err := storeArrivals(store, body)
	if err != nil {
		f.count("http", "", err)
		return err
	}
	if code != "" {
		writeJSON(w, http.StatusOK, map[string]string{"validationResponse": code})
		return nil
	}
	return f.answer(w, r, as)
}

// answer takes what came in. The answer has no body: a Knative broker treats a
// body that is not a CloudEvent as a failed delivery.
func (f *F) answer(w http.ResponseWriter, r *http.Request, as []arrival) error {
	ctx, cancel := f.committing(access.WithCaller(r.Context(), f.sender(r)))
	defer cancel()
	if err := f.arrived(ctx, "http", as); err != nil {
		return err
	}
	failpoint.Hit("answer.before")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// arrived takes what came in by a transport, and counts it.
func (f *F) arrived(ctx context.Context, transport string, as []arrival) error {
	if len(as) == 0 {
		f.count(transport, unwanted, nil)
		return nil
	}
	out, err := f.take(ctx, as)
	f.count(transport, out, err)
	return err
}

func (f *F) count(transport string, out outcome, err error) {
	switch {
	case err != nil && poison(err):
		out = "refused"
	case err != nil:
		out = "failed"
	}
	f.metrics.taken.WithLabelValues(transport, string(out)).Inc()
}

// handshake answers a sender that asks whether it may send (CloudEvents
// webhooks, Azure Event Grid).
func (f *F) handshake(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Allow", "POST, OPTIONS")
	if origin := r.Header.Get("WebHook-Request-Origin"); origin != "" {
		h.Set("WebHook-Allowed-Origin", origin)
		h.Set("WebHook-Allowed-Rate", "*")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
