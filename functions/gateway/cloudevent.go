package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/nats-io/nats.go"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// maxBatch bounds the events of one batch.
const maxBatch = 1000

// arrival is one thing that came in: a CloudEvent, or what an object store
// told in a form of its own.
type arrival struct {
	event  *events.Envelope
	notice *notice
}

// eventArrivals reads a body that says it holds CloudEvents, in any mode of the
// HTTP binding. ok is false when it does not say so.
func eventArrivals(h http.Header, body []byte) (out []arrival, ok bool, err error) {
	kind := strings.ToLower(h.Get("Content-Type"))
	switch {
	// The longer name first: it begins with the shorter one.
	case strings.HasPrefix(kind, "application/cloudevents-batch"):
		out, err = batch(body)
		return out, true, err
	case strings.HasPrefix(kind, "application/cloudevents"):
		if !strings.HasPrefix(kind, "application/cloudevents+json") {
			return nil, true, refuse(http.StatusUnsupportedMediaType, "Content-Type %.80q is not taken", kind).try("send structured events as application/cloudevents+json")
		}
	case !binary(h):
		return nil, false, nil
	}
	e, err := single(h, body)
	if err != nil {
		return nil, true, err
	}
	return []arrival{{event: &e}}, true, nil
}

// binary tells whether any header is an attribute of a CloudEvent.
func binary(h http.Header) bool {
	for name := range h {
		if len(name) > 3 && strings.EqualFold(name[:3], "ce-") {
			return true
		}
	}
	return false
}

// single reads an event in structured or binary mode. What HTTP calls
// Content-Type, the binding of NATS calls ce-datacontenttype; but for that and
// for quoted strings, the two are read alike.
func single(h http.Header, body []byte) (events.Envelope, error) {
	header := make(nats.Header, len(h))
	structured := strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/cloudevents")
	for name, values := range h {
		if len(values) == 0 {
			continue
		}
		header[name] = []string{unquote(values[0])}
	}
	if kind := h.Get("Content-Type"); !structured && kind != "" {
		if !isJSON(kind) {
			return events.Envelope{}, refuse(http.StatusUnsupportedMediaType, "Content-Type %.80q is not taken", kind).try("the data of an event is JSON: send application/json")
		}
		delete(header, "Content-Type")
		header["ce-datacontenttype"] = []string{kind}
	}
	e, err := eventlog.Decode(header, body)
	if err != nil {
		return events.Envelope{}, refuse(http.StatusBadRequest, "%v", err)
	}
	if len(bytes.TrimSpace(e.Data)) == 0 {
		e.Data = nil
	}
	return e, nil
}

func isJSON(kind string) bool {
	t, _, err := mime.ParseMediaType(kind)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// unquote undoes the quoted-string of HTTP, which the binding allows.
func unquote(v string) string {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return v
	}
	var b strings.Builder
	for i := 1; i < len(v)-1; i++ {
		if v[i] == '\\' && i+1 < len(v)-1 {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

func batch(body []byte) ([]arrival, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, refuse(http.StatusBadRequest, "a batch is a JSON array of events: %v", err)
	}
	if len(raw) > maxBatch {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the batch has %d events; at most %d are taken", len(raw), maxBatch)
	}
	out := make([]arrival, len(raw))
	var errs []error
	for i, r := range raw {
		e := new(events.Envelope)
		if err := json.Unmarshal(r, e); err != nil {
			errs = append(errs, fmt.Errorf("event %d: %w", i+1, err))
		}
		out[i].event = e
	}
	if err := errors.Join(errs...); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return out, nil
}

// storeArrivals reads a body that is no CloudEvent as the notification of an
// object store. code is what Event Grid wants to be answered.
func storeArrivals(store string, body []byte) (out []arrival, code string, err error) {
	if store == "" {
		store = sniff(body)
	}
	var ns []notice
	switch store {
	case "s3":
		ns, err = parseS3(body)
	case "gcs":
		ns, err = parseGCS(body)
	case "azure":
		ns, code, err = parseAzure(body)
	case "":
		return nil, "", refuse(http.StatusBadRequest, "this is neither a CloudEvent nor a notification of an object store that is known").
			try("a CloudEvent has the headers ce-specversion, ce-id, ce-source and ce-type, or the Content-Type application/cloudevents+json")
	default:
		return nil, "", refuse(http.StatusNotFound, "there is no /events/%s", store).try("there are: /events, /events/s3, /events/gcs, /events/azure")
	}
	for i := range ns {
		out = append(out, arrival{notice: &ns[i]})
	}
	return out, code, err
}

// sniff tells by its members which store a notification is of.
func sniff(body []byte) string {
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("[")) {
		var list []struct {
			EventType string `json:"eventType"`
		}
		if json.Unmarshal(body, &list) == nil && len(list) > 0 && list[0].EventType != "" {
			return "azure"
		}
		return ""
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	has := func(names ...string) bool {
		for _, n := range names {
			if m[n] == nil {
				return false
			}
		}
		return true
	}
	switch {
	case has("Records"), has("detail-type"), has("Service", "Event"):
		return "s3"
	case has("message", "subscription"):
		return "gcs"
	}
	return ""
}
