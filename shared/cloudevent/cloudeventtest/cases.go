// Package cloudeventtest has the events that every receiver of CloudEvents must
// accept, and those that every receiver must refuse.
package cloudeventtest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent"
)

// Case is one event.
type Case struct {
	Name string
	// Attributes are those that differ from a plain event's; an empty value
	// removes one.
	Attributes map[string]string
	// Data is the event's data. Base64 sends it as data_base64 in the
	// structured mode; Structured and Binary restrict the modes.
	Data                       string
	Base64, Structured, Binary bool
	// Members replace members of the structured mode.
	Members map[string]any
	// Refused is part of the error; empty if the event is accepted.
	Refused string
}

// Cases are the acceptance table.
var Cases = []Case{
	{Name: "plain", Data: `{"a":1}`},
	{Name: "without data"},
	{Name: "data_base64", Data: `{"a":1}`, Base64: true},
	{Name: "data_base64 that is not JSON", Data: "a,b", Base64: true, Structured: true, Refused: "does not hold JSON"},
	{Name: "data_base64 that is not base64", Structured: true, Members: map[string]any{"data_base64": "!"}, Refused: "not a base64 string"},
	{Name: "data and data_base64", Data: "1", Structured: true, Members: map[string]any{"data_base64": "MQ=="}, Refused: "both data and data_base64"},
	{Name: "any text", Attributes: map[string]string{"subject": "Euro € 😀 \"quoted\" 100%"}, Data: `"é"`},
	{Name: "an extension", Attributes: map[string]string{"region": "eu-1"}, Data: `{}`},
	{Name: "a number as an extension", Structured: true, Members: map[string]any{"weight": 3}, Data: `{}`},
	{Name: "a list as an extension", Structured: true, Members: map[string]any{"weight": []int{3}}, Data: `{}`, Refused: "must be a string, a number or a boolean"},
	{Name: "JSON with a charset", Attributes: map[string]string{"datacontenttype": "application/json; charset=utf-8"}, Data: `{}`},
	{Name: "JSON of a vendor", Attributes: map[string]string{"datacontenttype": "application/vnd.x+json"}, Data: `{}`},
	{Name: "CSV", Attributes: map[string]string{"datacontenttype": "text/csv"}, Data: `"a"`, Refused: "text/csv"},
	{Name: "another version", Attributes: map[string]string{"specversion": "0.3"}, Refused: `"0.3" is not supported`},
	{Name: "without a source", Attributes: map[string]string{"source": ""}, Refused: "attribute source is missing"},
	{Name: "a bad time", Attributes: map[string]string{"time": "yesterday"}, Refused: "RFC 3339"},
	{Name: "the last year", Attributes: map[string]string{"time": "9999-12-31T23:59:59Z"}},
	{Name: "the year 10000 in UTC", Attributes: map[string]string{"time": "9999-12-31T23:59:59-23:59"}, Refused: "years 1 to 9999"},
	{Name: "the year -1 in UTC", Attributes: map[string]string{"time": "0000-01-01T00:00:00+14:00"}, Refused: "years 1 to 9999"},
	{Name: "a long id", Attributes: map[string]string{"id": strings.Repeat("x", 1025)}, Refused: "at most 1024"},
	{Name: "data that is not JSON", Data: "{", Binary: true, Refused: "not JSON"},
}

// Send delivers an event to the receiver under test: the headers of the mode,
// as HTTP writes them (Content-Type), and the body. It returns what the
// receiver read.
type Send func(t *testing.T, header http.Header, body []byte) (events.Envelope, error)

// Run sends every case to a receiver, in each mode that modes names: binary,
// structured.
func Run(t *testing.T, send Send, modes ...string) {
	t.Helper()
	for _, c := range Cases {
		for _, mode := range modes {
			if c.Structured && mode != "structured" || c.Binary && mode != "binary" {
				continue
			}
			t.Run(mode+", "+c.Name, func(t *testing.T) {
				header, body := c.binary()
				if mode == "structured" {
					header, body = c.structured(t)
				}
				got, err := send(t, header, body)
				switch {
				case c.Refused != "":
					if err == nil || !strings.Contains(err.Error(), c.Refused) {
						t.Errorf("%v, want %q", err, c.Refused)
					}
					return
				case err != nil:
					t.Fatal(err)
				}
				want, err := events.HeaderFrom(c.attributes())
				if err != nil {
					t.Fatal(err)
				}
				for name, v := range c.Members {
					b, _ := json.Marshal(v)
					want.Attributes = map[string]string{name: string(b)}
				}
				if !cloudevent.Same(got, events.Envelope{Header: want, Data: json.RawMessage(c.Data)}) {
					t.Errorf("read as %+v with data %s", got.Header, got.Data)
				}
			})
		}
	}
}

func (c Case) attributes() map[string]string {
	attrs := map[string]string{"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.example.order"}
	maps.Copy(attrs, c.Attributes)
	maps.DeleteFunc(attrs, func(_, v string) bool { return v == "" })
	return attrs
}

func (c Case) binary() (http.Header, []byte) {
	h := http.Header{"Content-Type": {"application/json"}}
	for name, v := range c.attributes() {
		if name == "datacontenttype" {
			h.Set("Content-Type", v)
			continue
		}
		h.Set("ce-"+name, escape(v))
	}
	return h, []byte(c.Data)
}

func (c Case) structured(t *testing.T) (http.Header, []byte) {
	t.Helper()
	m := map[string]any{}
	for name, v := range c.attributes() {
		m[name] = v
	}
	switch {
	case c.Base64:
		m["data_base64"] = []byte(c.Data)
	case c.Data != "":
		m["data"] = json.RawMessage(c.Data)
	}
	maps.Copy(m, c.Members)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"Content-Type": {"application/cloudevents+json; charset=UTF-8"}}, b
}

// NATS turns headers of HTTP into those of a message.
func NATS(h http.Header) map[string][]string {
	out := map[string][]string{}
	for name, v := range h {
		if kind := v[0]; name == "Content-Type" && !strings.HasPrefix(kind, "application/cloudevents") {
			name = "ce-datacontenttype"
		}
		out[name] = slices.Clone(v)
	}
	return out
}

// escape percent-encodes as the bindings do.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '%' {
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
