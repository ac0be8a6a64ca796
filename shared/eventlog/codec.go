package eventlog

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"millrace.dev/events"
)

// attributePrefix begins the header of a CloudEvents attribute, in lower case:
// NATS keeps the case of header names.
const attributePrefix = "ce-"

// encode writes the event in the binary mode of the CloudEvents NATS binding.
func encode(subject string, e events.Envelope) *nats.Msg {
	h := make(nats.Header, 16)
	set := func(name, value string) {
		if value != "" {
			h[attributePrefix+name] = []string{escape(value)}
		}
	}
	set("specversion", "1.0")
	set("id", e.ID)
	set("source", e.Source)
	set("type", e.Type)
	set("subject", e.Subject)
	if !e.Time.IsZero() {
		set("time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	set("datacontenttype", "application/json")
	for k, v := range e.Extensions() {
		set(k, v)
	}
	return &nats.Msg{Subject: subject, Header: h, Data: e.Data}
}

// Decode reads an event from a NATS message in either mode of the CloudEvents
// NATS binding. Header names are taken in any case.
func Decode(header nats.Header, data []byte) (events.Envelope, error) {
	attrs := make(map[string]string, len(header))
	for k, v := range header {
		if len(v) == 0 {
			continue
		}
		lower := strings.ToLower(k)
		if lower == "content-type" && strings.HasPrefix(strings.ToLower(v[0]), "application/cloudevents") {
			var e events.Envelope
			// Not by json.Unmarshal, which says of broken JSON no more than where.
			if err := e.UnmarshalJSON(data); err != nil {
				return events.Envelope{}, err
			}
			return e, nil
		}
		name, ok := strings.CutPrefix(lower, attributePrefix)
		if !ok {
			continue
		}
		value, err := unescape(v[0])
		if err != nil {
			return events.Envelope{}, fmt.Errorf("header %s: %w", k, err)
		}
		attrs[name] = value
	}
	h, err := events.HeaderFrom(attrs)
	if err != nil {
		return events.Envelope{}, err
	}
	// No data at all is an event's right; blanks alone are not JSON either.
	if len(data) > 0 && !json.Valid(data) {
		return events.Envelope{}, fmt.Errorf("data of %s %s is not JSON", h.Type, h.ID)
	}
	return events.Envelope{Header: h, Data: data}, nil
}

// stored completes an event read from the stream: the log's time is the
// stream's, unless the event was imported and says when it was recorded.
func stored(header nats.Header, data []byte, sequence uint64, at time.Time) (events.Envelope, error) {
	e, err := Decode(header, data)
	if err != nil {
		return e, fmt.Errorf("event %d of the log: %w", sequence, err)
	}
	e.Sequence, e.Time = sequence, at.UTC()
	if v := e.Attributes[events.AttributeRecordedTime]; v != "" {
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			e.Time = t.UTC()
		}
	}
	return e, nil
}

// escape percent-encodes as the CloudEvents bindings do: space, double quote,
// percent and all outside of printable ASCII.
func escape(s string) string {
	plain := true
	for i := range len(s) {
		if mustEscape(s[i]) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if mustEscape(s[i]) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func mustEscape(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }

func unescape(s string) (v string, err error) {
	v = s
	if strings.Contains(s, "%") {
		if v, err = url.PathUnescape(s); err != nil {
			return "", fmt.Errorf("%q is not percent-encoded as CloudEvents wants it: %w", s, err)
		}
	}
	if !utf8.ValidString(v) {
		return "", fmt.Errorf("%q does not decode to UTF-8", s)
	}
	return v, nil
}

// indexOf is an event's place in its commit, from 1.
type indexOf struct{ index, size int }

func (i indexOf) String() string { return fmt.Sprintf("%d/%d", i.index, i.size) }

// more is how many events of the commit follow.
func (i indexOf) more() int { return max(0, i.size-i.index) }

func commitPlace(h nats.Header) indexOf {
	var i indexOf
	if v := h.Get(commitHeader); v != "" {
		if _, err := fmt.Sscanf(v, "%d/%d", &i.index, &i.size); err != nil {
			return indexOf{}
		}
	}
	return i
}
