package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/nats-io/nats.go"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent"
	"millrace.dev/shared/cloudevent/cloudeventtest"
)

func TestEventArrivals(t *testing.T) {
	t.Parallel()
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	required := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/shop", "ce-type", "com.example.order", "Content-Type", "application/json"}
	with := func(pairs ...string) http.Header { return header(append(required, pairs...)...) }
	structured := header("Content-Type", "Application/CloudEvents+JSON; charset=UTF-8")
	one := `{"specversion":"1.0","id":"1","source":"/shop","type":"com.example.order","data":{"a":1}}`

	for _, tt := range []struct {
		name   string
		header http.Header
		body   string
		want   func(*testing.T, []events.Envelope)
		err    string
		status int
	}{
		{name: "Binary", header: with("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"), body: `{"a":1}`, want: func(t *testing.T, es []events.Envelope) {
			if e := es[0]; e.Subject != "Euro € 😀" || string(e.Data) != `{"a":1}` || e.Source != "/shop" {
				t.Errorf("%+v", e)
			}
		}},
		{name: "QuotedString", header: with("ce-subject", `"a \"quoted\" word"`), body: `1`, want: func(t *testing.T, es []events.Envelope) {
			if es[0].Subject != `a "quoted" word` {
				t.Errorf("%q", es[0].Subject)
			}
		}},
		{name: "BinaryWithoutContentType", header: func() http.Header { h := with(); h.Del("Content-Type"); return h }(), body: `{}`, want: func(t *testing.T, es []events.Envelope) {
			if len(es) != 1 {
				t.Error(es)
			}
		}},
		{name: "Structured", header: structured, body: one, want: func(t *testing.T, es []events.Envelope) {
			if es[0].ID != "1" || string(es[0].Data) != `{"a":1}` {
				t.Errorf("%+v", es[0])
			}
		}},
		{name: "Batch", header: header("Content-Type", "application/cloudevents-batch+json"), body: "[" + one + "," + one + "]", want: func(t *testing.T, es []events.Envelope) {
			if len(es) != 2 {
				t.Error(es)
			}
		}},
		{name: "EmptyBatch", header: header("Content-Type", "application/cloudevents-batch+json"), body: "[]", want: func(t *testing.T, es []events.Envelope) {
			if len(es) != 0 {
				t.Error(es)
			}
		}},
		{name: "AllMistakesAtOnce", header: header("ce-id", "1", "ce-specversion", "0.3"), body: "{}", err: "attribute source is missing\nattribute type is missing\nspecversion \"0.3\"", status: 400},
		{name: "BadJSON", header: with(), body: "{", err: "not JSON", status: 400},
		{name: "BadTime", header: with("ce-time", "yesterday"), body: "{}", err: "RFC 3339", status: 400},
		{name: "BadUTF8", header: with("ce-subject", "%C0%A0"), body: "{}", err: "UTF-8", status: 400},
		{name: "NotJSON", header: with("Content-Type", "text/csv"), body: "a,b", err: "text/csv", status: 415},
		{name: "AvroEvent", header: header("Content-Type", "application/cloudevents+avro"), body: "x", err: "application/cloudevents+json", status: 415},
		{name: "StructuredGarbage", header: structured, body: "[]", err: "JSON object", status: 400},
		{name: "BatchWithMistakes", header: header("Content-Type", "application/cloudevents-batch+json"), body: `[{},` + one + `,{"specversion":"1.0"}]`, err: "event 3", status: 400},
		{name: "BatchTooLong", header: header("Content-Type", "application/cloudevents-batch+json"), body: "[" + strings.Repeat("{},", cloudevent.MaxBatch) + "{}]", err: "at most 1000", status: 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			as, ok, err := eventArrivals(tt.header, []byte(tt.body))
			if !ok {
				t.Fatal("not seen as a CloudEvent")
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || errorOf(err).Status != tt.status {
					t.Fatalf("%v, want %d %q", err, tt.status, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var es []events.Envelope
			for _, a := range as {
				es = append(es, *a.event)
			}
			tt.want(t, es)
		})
	}
}

// The gateway's transports accept what every receiver accepts.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	one := func(as []arrival, err error) (events.Envelope, error) {
		if err != nil || len(as) != 1 {
			return events.Envelope{}, err
		}
		return *as[0].event, nil
	}
	t.Run("HTTP", func(t *testing.T) {
		cloudeventtest.Run(t, func(_ *testing.T, h http.Header, body []byte) (events.Envelope, error) {
			as, _, err := eventArrivals(h, body)
			return one(as, err)
		}, "binary", "structured")
	})
	t.Run("inbox", func(t *testing.T) {
		cloudeventtest.Run(t, func(_ *testing.T, h http.Header, body []byte) (events.Envelope, error) {
			return one(messageArrivals(cloudeventtest.NATS(h), body))
		}, "binary", "structured")
	})
}

// What the CloudEvents SDK sends is read, in both modes.
func TestSDKInterop(t *testing.T) {
	t.Parallel()
	sent := event.New()
	sent.SetID("sdk-1")
	sent.SetSource("/shop")
	sent.SetType("com.example.order")
	sent.SetSubject("order/7")
	sent.SetTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	sent.SetExtension("pipeline", "flights")
	if err := sent.SetData("application/json", map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]func(context.Context) context.Context{"Binary": binding.WithForceBinary, "Structured": binding.WithForceStructured} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/events", nil)
			if err := cehttp.WriteRequest(mode(t.Context()), binding.ToMessage(&sent), r); err != nil {
				t.Fatal(err)
			}
			body, err := readBody(httptest.NewRecorder(), r, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			as, ok, err := eventArrivals(r.Header, body)
			if err != nil || !ok || len(as) != 1 {
				t.Fatal(as, ok, err)
			}
			e := as[0].event
			if e.ID != "sdk-1" || e.Subject != "order/7" || e.Pipeline != "flights" || !e.Time.Equal(sent.Time()) || string(e.Data) != `{"n":1}` {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestMessageArrivals(t *testing.T) {
	t.Parallel()
	required := nats.Header{"Ce-Specversion": {"1.0"}, "CE-ID": {"1"}, "ce-source": {"/shop"}, "ce-type": {"t"}, "ce-datacontenttype": {"application/json"}}
	as, err := messageArrivals(required, []byte(`{"a":1}`))
	if err != nil || len(as) != 1 || as[0].event.ID != "1" {
		t.Errorf("binary: %+v, %v", as, err)
	}
	as, err = messageArrivals(nats.Header{"content-type": {"application/cloudevents+json"}}, []byte(`{"specversion":"1.0","id":"2","source":"/s","type":"t"}`))
	if err != nil || len(as) != 1 || as[0].event.ID != "2" {
		t.Errorf("structured: %+v, %v", as, err)
	}
	as, err = messageArrivals(nil, []byte(`{"EventName":"s3:ObjectCreated:Put","Key":"b/k","Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"bucket"},"object":{"key":"k"}}}]}`))
	if err != nil || len(as) != 1 || as[0].notice.Bucket != "s3://bucket" {
		t.Errorf("MinIO: %+v, %v", as, err)
	}
	if _, err = messageArrivals(nil, []byte("hello")); err == nil || !poison(err) {
		t.Errorf("garbage: %v", err)
	}
}

func FuzzEventArrivals(f *testing.F) {
	f.Add("application/cloudevents+json", "", "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`)
	f.Add("application/cloudevents-batch+json", "", "", `[{"specversion":"1.0","id":"1","source":"/s","type":"t"}]`)
	f.Add("application/json", "1.0", `"a\"%41%"`, `{}`)
	f.Add("", "1.0", "%F0%9F%98%80", ``)
	f.Fuzz(func(t *testing.T, kind, version, subject, body string) {
		h := http.Header{"Content-Type": {kind}}
		if version != "" {
			h["Ce-Specversion"], h["Ce-Id"], h["Ce-Source"], h["Ce-Type"], h["Ce-Subject"] = []string{version}, []string{"1"}, []string{"/s"}, []string{"t"}, []string{subject}
		}
		as, _, err := eventArrivals(h, []byte(body))
		if err != nil {
			if !poison(err) {
				t.Errorf("is to be sent again: %v", err)
			}
			return
		}
		for _, a := range as {
			if a.event.ID == "" || a.event.Source == "" || a.event.Type == "" {
				t.Errorf("%+v", a.event)
			}
			b, err := json.Marshal(*a.event)
			if err != nil {
				t.Errorf("cannot be written: %v", err)
			}
			var again events.Envelope
			if err := json.Unmarshal(b, &again); err != nil {
				t.Errorf("cannot be read again: %v\n%s", err, b)
			}
		}
	})
}
