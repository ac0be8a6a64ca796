// Package cloudevent reads CloudEvents from HTTP and NATS, in the binary and
// the structured mode of their bindings. Whatever receives events reads them
// here, so that all accept the same: the runtime's push receiver, the gateway's
// POST /events and its inbox, and the event log.
//
// The structured mode itself is events.Envelope's JSON. The data of an event is
// JSON, given as data or as data_base64.
package cloudevent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"millrace.dev/events"
)

// Media types of the structured mode.
const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch"
	anyMode    = "application/cloudevents"
)

// MaxBatch is the largest number of events in a batch.
const MaxBatch = 1000

// prefix begins the header of an attribute in the binary mode, in lower case.
const prefix = "ce-"

// Errors that callers answer in a way of their own. Every other error says what
// is wrong with an event.
var (
	// ErrNot says that a message does not claim to be a CloudEvent.
	ErrNot = errors.New("this is not a CloudEvent: it has neither the headers ce-specversion, ce-id, ce-source and ce-type nor the Content-Type " + structured)
	// ErrMediaType says that the Content-Type is not taken.
	ErrMediaType = errors.New("not taken")
	// ErrTooMany says that a batch is too long.
	ErrTooMany = errors.New("the batch is too long")
)

// FromHTTP reads the events of a request: one in the binary or the structured
// mode, or a batch. The error reports every mistake.
func FromHTTP(h http.Header, body []byte) ([]events.Envelope, error) {
	kind := strings.ToLower(h.Get("Content-Type"))
	if strings.HasPrefix(kind, batched) {
		return batch(body)
	}
	e, err := single(h, body)
	if err != nil {
		return nil, err
	}
	return []events.Envelope{e}, nil
}

// FromNATS reads the events of a message: one in the binary or the structured
// mode, or a batch. The case of header names does not matter.
func FromNATS(header map[string][]string, body []byte) ([]events.Envelope, error) {
	for name, values := range header {
		if strings.EqualFold(name, "Content-Type") && len(values) > 0 && strings.HasPrefix(strings.ToLower(values[0]), batched) {
			return batch(body)
		}
	}
	e, err := FromMessage(header, body)
	if err != nil {
		return nil, err
	}
	return []events.Envelope{e}, nil
}

// FromMessage reads the one event of a message of NATS, in the binary or the
// structured mode.
func FromMessage(header map[string][]string, body []byte) (events.Envelope, error) {
	kind, attrs, err := headers(header, func(v string) string { return v })
	if strings.HasPrefix(strings.ToLower(kind), anyMode) {
		return envelope(body)
	}
	if err != nil {
		return events.Envelope{}, err
	}
	return binary(attrs, body)
}

// Claims reports whether the headers claim that a message is a CloudEvent.
func Claims(header map[string][]string) bool {
	for name, values := range header {
		lower := strings.ToLower(name)
		if len(lower) > len(prefix) && strings.HasPrefix(lower, prefix) ||
			lower == "content-type" && len(values) > 0 && strings.HasPrefix(strings.ToLower(values[0]), anyMode) {
			return true
		}
	}
	return false
}

// single reads one event of HTTP. Its binding calls Content-Type what NATS
// calls ce-datacontenttype, and allows quoted strings.
func single(h http.Header, body []byte) (events.Envelope, error) {
	if !Claims(h) {
		return events.Envelope{}, ErrNot
	}
	kind, attrs, err := headers(h, unquote)
	if lower := strings.ToLower(kind); strings.HasPrefix(lower, anyMode) {
		if !strings.HasPrefix(lower, structured) {
			return events.Envelope{}, fmt.Errorf("Content-Type %.80q is %w: send structured events as %s", kind, ErrMediaType, structured)
		}
		return envelope(body)
	}
	if err != nil {
		return events.Envelope{}, err
	}
	if kind != "" {
		if !events.IsJSON(kind) {
			return events.Envelope{}, fmt.Errorf("Content-Type %.80q is %w: the data of an event is JSON, application/json", kind, ErrMediaType)
		}
		attrs["datacontenttype"] = kind
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = nil
	}
	return binary(attrs, body)
}

// headers splits a message's headers into its Content-Type and the attributes
// of the binary mode.
func headers(header map[string][]string, plain func(string) string) (kind string, attrs map[string]string, err error) {
	attrs = make(map[string]string, len(header))
	var errs []error
	for k, v := range header {
		if len(v) == 0 {
			continue
		}
		lower := strings.ToLower(k)
		if lower == "content-type" {
			kind = v[0]
		}
		name, ok := strings.CutPrefix(lower, prefix)
		if !ok {
			continue
		}
		value, err := unescape(plain(v[0]))
		if err != nil {
			errs = append(errs, fmt.Errorf("header %s: %w", k, err))
		}
		attrs[name] = value
	}
	return kind, attrs, errors.Join(errs...)
}

func binary(attrs map[string]string, body []byte) (events.Envelope, error) {
	h, err := events.HeaderFrom(attrs)
	if err != nil {
		return events.Envelope{}, err
	}
	// An event may have no data at all; blanks alone are not JSON either.
	if len(body) > 0 && !json.Valid(body) {
		return events.Envelope{}, fmt.Errorf("data of %s %s is not JSON", h.Type, h.ID)
	}
	return events.Envelope{Header: h, Data: body}, nil
}

// envelope reads the structured mode. It does not call json.Unmarshal, which
// reports broken JSON with an offset only.
func envelope(body []byte) (e events.Envelope, err error) {
	err = e.UnmarshalJSON(body)
	return e, err
}

func batch(body []byte) ([]events.Envelope, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("a batch is a JSON array of events: %w", err)
	}
	if len(raw) > MaxBatch {
		return nil, fmt.Errorf("%w: it has %d events; at most %d are taken", ErrTooMany, len(raw), MaxBatch)
	}
	out := make([]events.Envelope, len(raw))
	var errs []error
	for i, r := range raw {
		if err := out[i].UnmarshalJSON(r); err != nil {
			errs = append(errs, fmt.Errorf("event %d: %w", i+1, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

// unescape undoes the percent-encoding of the bindings.
func unescape(s string) (v string, err error) {
	v = s
	if strings.Contains(s, "%") {
		if v, err = url.PathUnescape(s); err != nil {
			return "", fmt.Errorf("%q is not percent-encoded as CloudEvents requires: %w", s, err)
		}
	}
	if !utf8.ValidString(v) {
		return "", fmt.Errorf("%q does not decode to UTF-8", s)
	}
	return v, nil
}

// unquote undoes the quoted-string of HTTP, which its binding allows.
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
