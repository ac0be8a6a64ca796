package e2e_test

import (
	"strings"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/events"
)

// TestBadEvents: each bad event is refused with a reason and is not logged.
func TestBadEvents(t *testing.T) {
	s := env.Start(t, env.Options{Pipelines: []string{tumours.Pipeline{Name: "told"}.Write(t)}})
	s.Needs(t, "told")
	before, err := s.LastSequence(env.Context(t))
	must(t, err)
	const structured = "application/cloudevents+json"
	event := func(attributes, data string) string {
		return `{"specversion":"1.0","id":"1","source":"/test","datacontenttype":"application/json",` + attributes + `,"data":` + data + `}`
	}
	for _, c := range []struct {
		name, kind, body string
		status           int
		words            []string
	}{
		{"BadJSON", structured, `{"specversion": "1.0", `, 400, []string{"a structured CloudEvent is a JSON object", "unexpected end"}},
		{"NoEvent", "application/json", `{"hello": "world"}`, 400, []string{"neither a CloudEvent nor a notification"}},
		{"OtherContentType", "application/cloudevents+avro", "x", 415, []string{"send structured events as application/cloudevents+json"}},
		{"MissingAttributes", structured, `{"specversion":"1.0"}`, 400, []string{"id", "source", "type"}},
		{"WrongVersion", structured, strings.Replace(event(`"type":"dev.millrace.training.requested.v1","pipeline":"told"`, "{}"), `"1.0"`, `"0.3"`, 1), 400,
			[]string{`specversion "0.3" is not supported; it must be 1.0`}},
		{"UnknownType", structured, event(`"type":"dev.millrace.training.requestet.v1","pipeline":"told"`, "{}"), 400,
			[]string{"there is no event type", "did you mean dev.millrace.training.requested.v1?"}},
		{"NotForeign", structured, event(`"type":"dev.millrace.model.promoted.v1","pipeline":"told"`, `{"version":1,"reason":"mine"}`), 400,
			[]string{"emitted by Millrace itself", "taken are"}},
		{"UnknownPipeline", structured, event(`"type":"dev.millrace.training.requested.v1","pipeline":"tolt"`, "{}"), 404, []string{`there is no pipeline "tolt"`, `did you mean "told"?`}},
		{"NoPipeline", structured, event(`"type":"dev.millrace.training.requested.v1"`, "{}"), 400, []string{"attribute pipeline is missing"}},
		{"WrongData", structured, event(`"type":"dev.millrace.promotion.approved.v1","pipeline":"told"`, `{"version":"first"}`), 400, []string{"version"}},
		{"InvalidData", structured, event(`"type":"dev.millrace.model.registered.v1","pipeline":"told"`, `{"model":{"format":"pickle"}}`), 400,
			[]string{`model.format "pickle" is not onnx`, "model.digest is missing", "model.files is empty"}}, // every mistake at once
		{"TwoMebibytes", structured, event(`"type":"com.example.blob"`, `"`+strings.Repeat("x", 2<<20)+`"`), 413, []string{"an event carries at most"}},
		{"TenMebibytes", structured, strings.Repeat(" ", 10<<20), 413, []string{"larger than"}},
		{"BadBatch", "application/cloudevents-batch+json", `[` + event(`"type":"com.example.ok"`, "{}") + `,{}]`, 400, []string{"event 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.Ask(t, "POST", "/events", strings.NewReader(c.body), "Content-Type", c.kind)
			if a.Status != c.status {
				t.Errorf("answered %d, not %d", a.Status, c.status)
			}
			says(t, a.Text, c.words...)
			t.Log(a.Text)
		})
	}
	after, err := s.LastSequence(env.Context(t))
	must(t, err)
	if after != before {
		t.Errorf("%d events came into the log", after-before)
	}

	// An invalid model: every entry reports it, and the next one is evaluated.
	if a := s.Ask(t, "PUT", "/api/pipelines/told/models/empty.onnx", nil); a.Status != 400 {
		t.Errorf("an empty model: %+v", a)
	}
	w := s.Watch(t, "told")
	if a := s.Ask(t, "PUT", "/api/pipelines/told/models/garbage.onnx", strings.NewReader(strings.Repeat("garbage ", 1000))); a.Status != 201 {
		t.Errorf("garbage: %+v", a)
	}
	d := env.Await[events.ModelRejected](t, w)
	says(t, d.Data.Reason, "ONNX")
	t.Log(d.Data.Reason)
	s.Put(t, "told/data/a.parquet", tumours.Draw(t, 300, 1).Parquet(t))
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 })
	s.Settle(t)
	sound(t, s)
}
