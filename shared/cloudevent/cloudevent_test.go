package cloudevent_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent"
	"millrace.dev/shared/cloudevent/cloudeventtest"
)

func one(es []events.Envelope, err error) (events.Envelope, error) {
	if err != nil || len(es) != 1 {
		return events.Envelope{}, err
	}
	return es[0], nil
}

func TestAcceptance(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		cloudeventtest.Run(t, func(_ *testing.T, h http.Header, body []byte) (events.Envelope, error) {
			return one(cloudevent.FromHTTP(h, body))
		}, "binary", "structured")
	})
	t.Run("NATS", func(t *testing.T) {
		cloudeventtest.Run(t, func(_ *testing.T, h http.Header, body []byte) (events.Envelope, error) {
			return one(cloudevent.FromNATS(cloudeventtest.NATS(h), body))
		}, "binary", "structured")
	})
	t.Run("JSON", func(t *testing.T) {
		cloudeventtest.Run(t, func(_ *testing.T, _ http.Header, body []byte) (e events.Envelope, err error) {
			return e, json.Unmarshal(body, &e)
		}, "structured")
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*events.Envelope)
		says   string
	}{
		"plain":               {func(*events.Envelope) {}, ""},
		"a control character": {func(e *events.Envelope) { e.Subject = "a\nb" }, "attribute subject has a character"},
		"a C1 control":        {func(e *events.Envelope) { e.ID = "a\u009bb" }, "attribute id has a character"},
		"a noncharacter":      {func(e *events.Envelope) { e.Type = "\ufdd0" }, "attribute type has a character"},
		"bad UTF-8":           {func(e *events.Envelope) { e.Attributes = map[string]string{"x": "\xff"} }, "attribute x has a character"},
		"deep data":           {func(e *events.Envelope) { e.Data = nested(cloudevent.MaxDepth) }, ""},
		"too deep data":       {func(e *events.Envelope) { e.Data = nested(cloudevent.MaxDepth + 1) }, "nested 1001 deep"},
		"far too deep data":   {func(e *events.Envelope) { e.Data = nested(20_000) }, "nested too deep"},
		"brackets in text":    {func(e *events.Envelope) { e.Data = []byte(`"` + strings.Repeat(`[\"`, 2000) + `"`) }, ""},
		"data in Latin-1":     {func(e *events.Envelope) { e.Data = []byte("\"\xe9\"") }, "not UTF-8"},
		"a year too far":      {func(e *events.Envelope) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }, "cannot be read again"},
		"an attribute data":   {func(e *events.Envelope) { e.Attributes = map[string]string{"data": "x"} }, "changes"},
	} {
		e := events.Envelope{Header: events.Header{ID: "1", Source: "/s", Type: "t"}, Data: json.RawMessage(`{}`)}
		tt.change(&e)
		if err := cloudevent.Check(e); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

func nested(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }

// FuzzDecode: whatever is read has its required attributes, and what passes
// Check is the same after its JSON was written and read.
func FuzzDecode(f *testing.F) {
	f.Add("application/cloudevents+json", "", "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"e30="}`)
	f.Add("application/json", "1.0", `"a\"%41%"`, `{}`)
	f.Add("application/cloudevents-batch+json", "", "", `[{"specversion":"1.0","id":"1","source":"/s","type":"t"}]`)
	f.Fuzz(func(t *testing.T, kind, version, subject, body string) {
		h := http.Header{"Content-Type": {kind}}
		if version != "" {
			for name, v := range map[string]string{"Specversion": version, "Id": "1", "Source": "/s", "Type": "t", "Subject": subject, "Time": subject} {
				h["Ce-"+name] = []string{v}
			}
		}
		es, err := cloudevent.FromHTTP(h, []byte(body))
		if err != nil {
			return
		}
		for _, e := range es {
			if e.ID == "" || e.Source == "" || e.Type == "" {
				t.Errorf("read as %+v", e.Header)
			}
			if cloudevent.Check(e) != nil {
				continue
			}
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatalf("%+v was accepted and cannot be written: %v", e, err)
			}
			var again events.Envelope
			if err := json.Unmarshal(b, &again); err != nil || !cloudevent.Same(again, e) {
				t.Fatalf("%s was accepted and reads as %+v: %v", b, again, err)
			}
		}
	})
}
