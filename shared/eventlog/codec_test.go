package eventlog_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

func FuzzDecode(f *testing.F) {
	f.Add("ce-id: 1\nce-source: /x\nce-type: com.example.thing\nce-specversion: 1.0", []byte(`{"a":1}`))
	f.Add("CE-ID: a%20b%E2%82%AC\nce-source: /x\nce-type: dev.millrace.drift.detected.v1\nce-specversion: 1.0\nce-pipeline: flights\nce-time: 2026-03-01T02:00:00.5Z", []byte(nil))
	f.Add("Content-Type: application/cloudevents+json", []byte(`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{"a":[1,2]}}`))
	f.Add("Content-Type: application/cloudevents+json; charset=utf-8", []byte(`{"specversion":"1.0","id":"1","source":"/x","type":"t","data_base64":"e30="}`))
	f.Add("ce-id: %", []byte(" "))
	f.Add("Millrace-Commit: 2/3\nce-id: 1\nce-source: /x\nce-type: t\nce-specversion: 1.0", []byte(" \t"))
	f.Add("ce-id: 1\nce-source: /x\nce-type: t\nce-specversion: 1.0\nce-time: 9999-12-31T23:59:59-23:59", []byte(`{}`))
	f.Add("ce-id: 1\nce-source: /x\nce-type: t\nce-specversion: 1.0\nce-time: 0001-01-01T00:00:00+23:59", []byte(`{}`))
	f.Fuzz(func(t *testing.T, header string, data []byte) {
		h := nats.Header{}
		for line := range strings.SplitSeq(header, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			h[name] = append(h[name], value)
		}
		e, err := eventlog.Decode(h, data)
		if err != nil {
			return
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", e, err)
		}
		var again events.Envelope
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("%s was written and cannot be read: %v", b, err)
		}
		if again.ID != e.ID || again.Source != e.Source || again.Type != e.Type || again.Subject != e.Subject || again.Pipeline != e.Pipeline {
			t.Fatalf("read %+v, then %+v", e, again)
		}
	})
}
