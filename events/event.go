package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// TypePrefix begins the type of every event of Millrace.
const TypePrefix = "dev.millrace."

// NoPipeline is the pipeline of events that belong to none.
const NoPipeline = "_"

// MaxDataBytes bounds the data of one event from any sender. It leaves room
// for attributes below the 1 MiB that a NATS server takes by default.
const MaxDataBytes = 768 << 10

// Data is the payload of one event type. Its methods are on the value, so
// that the zero value can tell its type.
type Data interface {
	// EventType is the CloudEvents type.
	EventType() string
	// EventSubject says what the event is about, without the pipeline:
	// "dataset/3f9c0a". The CloudEvents subject is "<pipeline>/" + EventSubject.
	EventSubject() string
	// Validate reports every mistake in the payload at once.
	Validate() error
}

// Attributed is payload that people route on: the attributes become
// CloudEvents extensions, lower-case letters and digits only.
type Attributed interface {
	Data
	Attributes() map[string]string
}

// Originated is payload that makes its own cause instead of the event that
// was being handled: a run is started once per run key, ends once, and a
// schedule ticks once per due time, no matter who emits it. The function is the
// one under which it stands in the log.
type Originated interface {
	Data
	Origin() (function, cause string)
}

// Reasoned is payload that other events than the handled one led to.
type Reasoned interface {
	Data
	// Because are the ids of those events.
	Because() []string
}

// Header is what an event carries beside its data.
type Header struct {
	ID      string
	Source  string
	Type    string
	Subject string
	// Time is when the fact entered the log: the stream's time, or the
	// recordedtime of an imported event.
	Time time.Time
	// Pipeline is the pipeline the event belongs to, NoPipeline for none.
	Pipeline string
	// CorrelationID is the id of the first event of the chain.
	CorrelationID string
	// CausationID is the id of the event that led to this one.
	CausationID string
	// TraceParent is the W3C trace context of the start of the chain.
	TraceParent string
	// Attributes are the other CloudEvents extensions.
	Attributes map[string]string
	// Sequence is the event's place in the log, 0 outside of it. It is never
	// part of a state.
	Sequence uint64
}

// Function is the function that emitted the event, read from its source;
// empty for foreign events.
func (h Header) Function() string {
	f, ok := strings.CutPrefix(h.Source, "/millrace/")
	if !ok {
		return ""
	}
	return f
}

// AttributeRecordedTime is when an imported event entered the log that it was
// exported from. It is the event's time, whatever the stream says.
const AttributeRecordedTime = "recordedtime"

// Imported tells whether the event came with the history of another log. What
// had to follow from it followed there: no function handles it.
func (h Header) Imported() bool { return h.Attributes[AttributeRecordedTime] != "" }

// Source is the CloudEvents source of what a function emits.
func Source(function string) string { return "/millrace/" + function }

// Event is one event with its payload decoded.
type Event[T Data] struct {
	Header
	Data T
}

// Envelope is one event with its payload as it came, JSON.
// Its own JSON is the CloudEvents structured mode.
type Envelope struct {
	Header
	Data json.RawMessage
}

// Decode gives the envelope's event as a typed one.
func Decode[T Data](e Envelope) (Event[T], error) {
	var zero T
	if e.Type != zero.EventType() {
		return Event[T]{}, fmt.Errorf("event %s is of type %s, not %s", e.ID, e.Type, zero.EventType())
	}
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return Event[T]{}, fmt.Errorf("data of %s %s: %w", e.Type, e.ID, err)
	}
	return Event[T]{Header: e.Header, Data: data}, nil
}

// specVersion is the CloudEvents version that Millrace reads and writes.
const specVersion = "1.0"

// MarshalJSON writes the envelope in the CloudEvents structured mode.
func (e Envelope) MarshalJSON() ([]byte, error) {
	m := map[string]any{"specversion": specVersion, "id": e.ID, "source": e.Source, "type": e.Type}
	for k, v := range e.Extensions() {
		m[k] = v
	}
	if e.Subject != "" {
		m["subject"] = e.Subject
	}
	if !e.Time.IsZero() {
		m["time"] = e.Time.UTC().Format(time.RFC3339Nano)
	}
	if len(e.Data) > 0 {
		m["datacontenttype"] = "application/json"
		m["data"] = e.Data
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads the CloudEvents structured mode. Every missing or
// malformed attribute is reported at once.
func (e *Envelope) UnmarshalJSON(b []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("a structured CloudEvent is a JSON object: %w", err)
	}
	attrs := map[string]string{}
	var errs []error
	data, err := structuredData(m)
	if err != nil {
		errs = append(errs, err)
	}
	*e = Envelope{Data: data}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		var v any
		if err := json.Unmarshal(m[k], &v); err != nil {
			return err
		}
		switch v := v.(type) {
		case string:
			attrs[k] = v
		case bool, float64:
			attrs[k] = strings.TrimSpace(string(m[k]))
		case nil:
		default:
			errs = append(errs, fmt.Errorf("attribute %s must be a string, a number or a boolean", k))
		}
	}
	h, err := HeaderFrom(attrs)
	if err = errors.Join(append(errs, err)...); err != nil {
		return err
	}
	e.Header = h
	return nil
}

// structuredData takes the data out of the members of a structured event: data,
// or data_base64, which must hold JSON too.
func structuredData(m map[string]json.RawMessage) (json.RawMessage, error) {
	data, encoded := m["data"], m["data_base64"]
	delete(m, "data")
	delete(m, "data_base64")
	switch {
	case encoded == nil || string(encoded) == "null":
		return data, nil
	case data != nil:
		return nil, errors.New("the event has both data and data_base64; send one of them")
	}
	var decoded []byte
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil, errors.New("data_base64 is not a base64 string")
	}
	if len(decoded) > 0 && !json.Valid(decoded) {
		return nil, errors.New("data_base64 does not hold JSON: the data of an event is JSON")
	}
	return decoded, nil
}

// Extensions are the header's CloudEvents extension attributes, those with a
// field of their own among them.
func (h Header) Extensions() map[string]string {
	m := maps.Clone(h.Attributes)
	if m == nil {
		m = map[string]string{}
	}
	for k, v := range map[string]string{
		"pipeline": h.Pipeline, "correlationid": h.CorrelationID, "causationid": h.CausationID, "traceparent": h.TraceParent,
	} {
		if v != "" {
			m[k] = v
		}
	}
	return m
}

// HeaderFrom reads a header from CloudEvents attributes by name. It reports
// every missing or malformed one at once.
func HeaderFrom(attrs map[string]string) (Header, error) {
	var errs []error
	if v := attrs["specversion"]; v != specVersion {
		if v == "" {
			errs = append(errs, errors.New("attribute specversion is missing; it must be 1.0"))
		} else {
			errs = append(errs, fmt.Errorf("specversion %q is not supported; it must be 1.0", v))
		}
	}
	h := Header{ID: attrs["id"], Source: attrs["source"], Type: attrs["type"], Subject: attrs["subject"]}
	for _, a := range [][2]string{{"id", h.ID}, {"source", h.Source}, {"type", h.Type}} {
		switch {
		case a[1] == "":
			errs = append(errs, fmt.Errorf("attribute %s is missing", a[0]))
		case len(a[1]) > 1024:
			errs = append(errs, fmt.Errorf("attribute %s has %d characters; at most 1024 are taken", a[0], len(a[1])))
		}
	}
	if v := attrs["time"]; v != "" {
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			errs = append(errs, fmt.Errorf("attribute time %q is not an RFC 3339 timestamp", v))
		} else if y := t.UTC().Year(); y < 1 || y > 9999 {
			errs = append(errs, fmt.Errorf("attribute time %q is not in the years 1 to 9999 in UTC", v))
		}
		h.Time = t
	}
	if v := attrs["datacontenttype"]; v != "" && !IsJSON(v) {
		errs = append(errs, fmt.Errorf("datacontenttype %q is not taken; it must be application/json", v))
	}
	for k, v := range attrs {
		if !utf8.ValidString(v) {
			errs = append(errs, fmt.Errorf("attribute %s is not UTF-8", k))
		}
		switch k {
		case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
		case "pipeline":
			h.Pipeline = v
		case "correlationid":
			h.CorrelationID = v
		case "causationid":
			h.CausationID = v
		case "traceparent":
			h.TraceParent = v
		default:
			if !attributeName(k) {
				errs = append(errs, fmt.Errorf("attribute name %q is not lower-case letters and digits", k))
				continue
			}
			if h.Attributes == nil {
				h.Attributes = map[string]string{}
			}
			h.Attributes[k] = v
		}
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return Header{}, errors.Join(errs...)
	}
	return h, nil
}

// IsJSON reports whether a media type is that of JSON.
func IsJSON(mediaType string) bool {
	t, _, err := mime.ParseMediaType(mediaType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

func attributeName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// MinPrefix is how many characters of an id or a digest are enough to name it,
// wherever people may abbreviate one.
const MinPrefix = 4
