package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/function/functiontest"
)

func TestForeignEventOfAnUnknownType(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	for range 2 {
		r.event("com.example.order", "1", `{"a":1}`, "pipeline", "flights", "subject", "order/7", "time", "2020-01-01T00:00:00Z", "colour", "red", "target", "ingest").is(202).empty()
	}
	r.event("com.example.order", "1", `{"a":1}`).is(202) // of no pipeline
	found := r.Events(t, "flights", "com.example.order")
	if len(found) != 1 {
		t.Fatalf("the log has %d", len(found))
	}
	e := found[0]
	if e.ID != "1" || e.Source != "/test" || e.Subject != "order/7" || e.Attributes["colour"] != "red" || e.Attributes["target"] != "" || string(e.Data) != `{"a":1}` {
		t.Errorf("%+v", e)
	}
	if got := r.Events(t, events.NoPipeline); len(got) != 1 {
		t.Errorf("of no pipeline: %+v", got)
	}
	r.event("com.example.order", "2", `{}`, "pipeline", "flight").is(404, "did you mean")
}

func TestForeignEventOfOurs(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	r.event("dev.millrace.training.requested.v1", "1", `{"by":"anna"}`, "pipeline", "flights").is(202).empty()
	r.event("dev.millrace.training.requested.v1", "2", `{"by":"anna","pipeline":"flights"}`).is(202)
	if got := r.Events(t, "flights", "dev.millrace.training.requested.v1"); len(got) != 2 || got[0].ID != "1" || got[0].Source != "/test" {
		t.Errorf("%+v", got)
	}
	for _, tt := range []struct {
		kind, data, pipeline string
		status               int
		words                []string
	}{
		{"dev.millrace.training.requested.v1", `{}`, "", 400, []string{"pipeline is missing"}},
		{"dev.millrace.training.requested.v1", `{}`, "flight", 404, []string{"did you mean", "flights"}},
		{"dev.millrace.training.wanted.v1", `{}`, "flights", 400, []string{"no event type", "did you mean"}},
		{"dev.millrace.training.requested.v2", `{}`, "flights", 400, []string{"no event type"}},
		{"dev.millrace.model.promoted.v1", `{"version":1}`, "flights", 400, []string{"emitted by Millrace itself"}},
		{"dev.millrace.promotion.approved.v1", `{"version":-1}`, "", 400, []string{"version -1", "pipeline is missing"}},
		{"dev.millrace.promotion.approved.v1", `{"version":"two"}`, "flights", 400, []string{"version"}},
		{"dev.millrace.promotion.approved.v1", `{`, "flights", 400, []string{"not JSON"}},
		{"dev.millrace.training.completed.v1", `{"run":"x"}`, "flights", 400, []string{"model.format", "model.digest", "model.files"}},
		{"dev.millrace.training.failed.v1", `{"run":"x","reason":"y"}`, "flights", 404, []string{`no run "x"`}},
		{"dev.millrace.object.uploaded.v1", `{"key":"k","bucket":"file:///etc"}`, "", 400, []string{"s3://, gs:// or azblob://"}},
		{"dev.millrace.object.uploaded.v1", `{"key":"k","content":{"url":"x","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1}}`, "", 400, []string{"content is set by the gateway", "bucket"}},
		{"dev.millrace.model.registered.v1", `{"model":{"format":"onnx","digest":"d","files":[{"name":"model.onnx","url":"x","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1}]}}`, "flights", 422, []string{"not in the artifact store"}},
	} {
		attributes := []string{}
		if tt.pipeline != "" {
			attributes = append(attributes, "pipeline", tt.pipeline)
		}
		r.event(tt.kind, "x", tt.data, attributes...).is(tt.status, tt.words...)
	}
	r.event("dev.millrace.training.requested.v1", "x", `{"reason":"`+strings.Repeat("x", 2<<20)+`"}`, "pipeline", "flights").is(413, "at most")
	r.post("/events", strings.Repeat("x", 9<<20), "Content-Type", "application/cloudevents+json").is(413)
	r.post("/events", "hello").is(400, "neither a CloudEvent nor")
	r.post("/events/ftp", "{}").is(404, "/events/s3")
	r.event("dev.millrace.model.promoted.v1", "x", `{"version":1}`, "via", "log").is(202).empty()
}

func TestDriftThatOthersFind(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	const kind = "dev.millrace.drift.detected.v1"
	drift := `{"version":1,"reason":"ours says so","columns":[],"action":"retrain"%s}`
	r.event(kind, "1", fmt.Sprintf(drift, `,"last":"x"`), "pipeline", "flights").is(400, "no version 1", "last is set by drift-check")
	r.Announce(t, "flights", "gateway", events.ModelRegistered{Model: events.NewModel([]events.File{{
		Name: "model.onnx", Ref: events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat("0", 64), Size: 1},
	}})})
	for range 2 {
		r.event(kind, "1", fmt.Sprintf(drift, ""), "pipeline", "flights").is(202).empty()
	}
	got := r.Events(t, "flights", kind)
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	want := r.State(t, "flights").Config.Spec.Monitor.OnDrift
	if d := functiontest.Data[events.DriftDetected](t, got[0]); d.Action != want || want == "retrain" {
		t.Errorf("action %q, the pipeline wants %q", d.Action, want)
	}
}

func TestBatchIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	batch := func(pipelines ...string) string {
		var out []string
		for i, p := range pipelines {
			out = append(out, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/s","type":"com.example.x","pipeline":%q,"data":{}}`, i, p))
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	const kind = "application/cloudevents-batch+json"
	r.post("/events", batch("flights", "nope", "nada"), "Content-Type", kind).is(404, "event 2", "event 3")
	if got := r.Events(t, "flights", "com.example.x"); len(got) != 0 {
		t.Errorf("half a batch is in the log: %+v", got)
	}
	r.post("/events", batch("flights", "flights"), "Content-Type", kind).is(202).empty()
	if got := r.Events(t, "flights", "com.example.x"); len(got) != 2 {
		t.Errorf("the log has %+v", got)
	}
}

func TestNotificationsFanOut(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights, copycat)
	for range 2 {
		r.post("/events/s3", notification(t, "s3-put")).is(202).empty()
		r.post("/events", notification(t, "minio-put")).is(202).empty()
		r.post("/events", notification(t, "eventbridge-created")).is(202).empty()
		r.post("/events/gcs", notification(t, "gcs-finalize")).is(202).empty()
		r.post("/events/azure", notification(t, "azure-created")).is(202).empty()
		r.post("/events/s3", notification(t, "s3-test-event")).is(202).empty()
		r.post("/events/s3", notification(t, "s3-delete-many")).is(202).empty()
	}
	want := "+s3://landing/flights/2013 01 ü+.parquet +s3://landing/flights/2013 01.csv +s3://landing/flights/2013+01 %.csv " +
		"+gs://landing/flights/2013 01+.parquet +azblob://landing/flights/2013 01+%.csv -azblob://landing/flights/b.csv -s3://landing/flights/a.csv -s3://landing/flights/b.csv"
	if got := r.objects("flights"); got != want {
		t.Errorf("the log has\n%s\nwant\n%s", got, want)
	}
	if got := r.objects("copycat"); got != "" {
		t.Errorf("the other pipeline has %s", got)
	}
	r.post("/events/azure", notification(t, "azure-validation")).is(200, `{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}`)
}

func TestNotificationsAsCloudEvents(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	for range 2 {
		r.event("google.cloud.storage.object.v1.finalized", "1", `{"bucket":"landing","name":"flights/a.csv","generation":"7","size":"12"}`).is(202)
		r.event("Microsoft.Storage.BlobCreated", "1", `{"api":"PutBlob","eTag":"e","contentLength":3,"sequencer":"1"}`, "subject", "/blobServices/default/containers/landing/blobs/flights/b.csv").is(202)
		r.event("dev.millrace.object.uploaded.v1", "1", `{"bucket":"s3://landing","key":"flights/c.csv","etag":"e"}`).is(202)
		r.event("dev.millrace.object.removed.v1", "2", `{"bucket":"s3://landing","key":"flights/c.csv"}`).is(202)
	}
	r.event("google.cloud.storage.object.v1.finalized", "2", `{"bucket":"landing","name":"flights/a.csv","generation":"x","size":"many"}`).is(400, "not a number")
	want := "+gs://landing/flights/a.csv +azblob://landing/flights/b.csv +s3://landing/flights/c.csv -s3://landing/flights/c.csv"
	if got := r.objects("flights"); got != want {
		t.Errorf("the log has\n%s\nwant\n%s", got, want)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	for _, path := range []string{"/events", "/events/azure", "/"} {
		a := r.do(http.MethodOptions, path, nil, "WebHook-Request-Origin", "eventgrid.azure.net").is(200)
		if a.header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" || a.header.Get("WebHook-Allowed-Rate") != "*" || a.header.Get("Allow") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights, copycat)
	at := []string{"time", "2026-01-31T12:00:07.5Z"}
	for range 2 {
		r.event("dev.knative.sources.ping", "1", `{"schedule":"sweep","action":"sweep"}`, at...).is(202).empty()
		r.event("dev.knative.sources.ping", "2", `{"schedule":"nightly","action":"retrain","pipeline":"flights"}`, at...).is(202)
		r.event("dev.knative.sources.ping", "3", `{"schedule":"tick","action":"tick"}`, at...).is(202) // nothing waits
	}
	// The same due time noticed by another source is no other tick.
	r.event("dev.millrace.schedule.ticked.v1", "4", `{"schedule":"nightly","action":"retrain","pipeline":"flights","due":"2026-01-31T13:00:00+01:00"}`).is(202)
	var got []string
	for _, p := range []string{"flights", "copycat"} {
		for _, e := range r.Events(t, p, "dev.millrace.schedule.ticked.v1") {
			d := functiontest.Data[events.ScheduleTicked](t, e)
			got = append(got, d.Pipeline+" "+d.Schedule+" "+d.Due)
		}
	}
	want := "flights sweep 2026-01-31T12:00:00Z, flights nightly 2026-01-31T12:00:00Z, copycat sweep 2026-01-31T12:00:00Z"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("ticks: %s\nwant %s", s, want)
	}
	r.event("dev.knative.sources.ping", "5", `{"message":"hello"}`).is(202)
	r.event("dev.knative.sources.ping", "6", `{"schedule":"x","action":"dance","due":"then"}`, at...).is(400, "dance", "RFC 3339")
}

// The minutely tick leads to one tick for each due time of the schedules of
// pipelines, no matter who sends it and how often.
func TestTicksForSchedules(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights+"  schedules: [{name: nightly, cron: '0 2 * * *', zone: Europe/Berlin, do: retrain, catch_up: all}]\n", copycat)
	last, want := time.Time{}, ""
	rows := decode[[]api.ScheduleRow](r.get("/api/schedules?pipeline=flights").is(200))
	if len(rows) != 1 || len(rows[0].Next) != 5 || rows[0].Last != nil || rows[0].Zone != "Europe/Berlin" {
		t.Fatalf("schedules %+v", rows)
	}
	for i, due := range rows[0].Next[:3] {
		last = due
		if i > 0 {
			want += ", "
		}
		want += "flights nightly retrain " + due.UTC().Format(time.RFC3339)
	}
	for _, at := range []time.Time{rows[0].Next[0].Add(-time.Minute), rows[0].Next[0], rows[0].Next[0].Add(time.Minute), last.Add(time.Minute), last} {
		r.event("dev.knative.sources.ping", at.String(), `{"schedule":"tick","action":"tick"}`, "time", at.UTC().Format(time.RFC3339)).is(202)
	}
	var got []string
	for _, p := range []string{"flights", "copycat"} {
		for _, e := range r.Events(t, p, "dev.millrace.schedule.ticked.v1") {
			d := functiontest.Data[events.ScheduleTicked](t, e)
			got = append(got, strings.Join([]string{d.Pipeline, d.Schedule, d.Action, d.Due}, " "))
		}
	}
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("ticks: %s\nwant %s", s, want)
	}
	rows = decode[[]api.ScheduleRow](r.get("/api/schedules").is(200))
	if len(rows) != 1 || rows[0].Last == nil || !rows[0].Last.Equal(last) {
		t.Errorf("schedules %+v", rows)
	}
}

// The minutely tick asks for the freshness of a dataset from when its data is due
// until it was reported as late.
func TestTicksForFreshness(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), strings.Replace(flights, "  data:\n", "  data:\n    expect: {every: 1d}\n", 1), copycat)
	tick := func(after time.Duration) string {
		t.Helper()
		r.event("dev.knative.sources.ping", after.String(), `{"schedule":"tick","action":"tick"}`, "time", time.Now().Add(after).UTC().Format(time.RFC3339)).is(202)
		var got []string
		for _, p := range []string{"flights", "copycat"} {
			for _, e := range r.Events(t, p, "dev.millrace.schedule.ticked.v1") {
				d := functiontest.Data[events.ScheduleTicked](t, e)
				got = append(got, d.Pipeline+" "+d.Schedule+" "+d.Action)
			}
		}
		return strings.Join(got, ", ")
	}
	if got := tick(time.Hour); got != "" {
		t.Errorf("before data is due: %s", got)
	}
	const want = "flights freshness freshness"
	if got := tick(25 * time.Hour); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	due := time.Now().Add(24 * time.Hour)
	r.Announce(t, "flights", "validate", events.DatasetLate{Due: due.UTC().Format(time.RFC3339Nano), Reason: "no upload"})
	if got := tick(26 * time.Hour); got != want {
		t.Errorf("after it was announced: %s, want %s", got, want)
	}
	late := decode[api.Status](r.get("/api/status").is(200)).Pipelines
	i := slices.IndexFunc(late, func(p api.PipelineStatus) bool { return p.Pipeline == "flights" })
	if l := late[i].Late; l == nil || l.Reason != "no upload" || l.Last != nil || l.Due.Before(due.Add(-time.Minute)) {
		t.Errorf("status %+v", l)
	}
}

// startRun emits a run.
func (r env) startRun(run string) events.Envelope {
	r.t.Helper()
	ref, err := r.Artifacts.PutBytes(functiontest.Context(r.t), []byte("rows"), ".parquet")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Announce(r.t, "flights", "train-launcher", events.TrainingStarted{
		Run: run, Key: "key-" + run, Trigger: "upload", Snapshot: "s", Config: "c", Code: "k", Train: ref, Holdout: ref, TrainRows: 8, HoldoutRows: 2,
	})[0]
}

func TestRunnersEvents(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	started := r.startRun("r1")
	r.event("dev.millrace.training.progressed.v1", "1", `{"run":"r1","step":1,"metrics":{"loss":0.5}}`, "pipeline", "flights").is(202).empty()
	model := `{"format":"onnx","digest":"d","files":[{"name":"model.onnx","url":"x","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1}]}`
	r.event("dev.millrace.training.completed.v1", "2", `{"run":"r1","model":`+model+`,"seconds":3}`, "pipeline", "flights").is(202)
	// The first end of a run wins, no matter who reports it.
	r.event("dev.millrace.training.failed.v1", "3", `{"run":"r1","reason":"late"}`, "pipeline", "flights").is(202)
	run := r.State(t, "flights").Run("r1")
	if run.Status != "completed" || run.Version != 1 || run.Metrics["loss"] != 0.5 {
		t.Errorf("%+v", run)
	}
	e := r.Events(t, "flights", "dev.millrace.training.completed.v1")[0]
	if e.CausationID != started.ID || e.CorrelationID != started.CorrelationID || e.Function() != "train-launcher" || e.ID == "2" {
		t.Errorf("%+v", e.Header)
	}
}

func TestInbox(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	publish := func(subject string, header nats.Header, body string) {
		t.Helper()
		m := &nats.Msg{Subject: subject, Header: header, Data: []byte(body)}
		if _, err := r.Log.JetStream().PublishMsg(functiontest.Context(t), m); err != nil {
			t.Fatal(err)
		}
	}
	publish("millrace.inbox.garbage", nil, "hello")
	publish("millrace.inbox.minio", nil, notification(t, "minio-put"))
	publish("millrace.inbox.any", nats.Header{"ce-specversion": {"1.0"}, "Ce-Id": {"b"}, "ce-source": {"/s"}, "ce-type": {"com.example.x"}, "ce-pipeline": {"flights"}, "ce-datacontenttype": {"application/json"}}, `{}`)
	structured, err := json.Marshal(events.Envelope{Header: events.Header{ID: "s", Source: "/s", Type: "com.example.x", Pipeline: "flights"}, Data: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	publish("millrace.inbox.any", nats.Header{"content-type": {"application/cloudevents+json"}}, string(structured))
	r.WaitFor(t, "flights", "com.example.x", func(e events.Envelope) bool { return e.ID == "b" })
	r.WaitFor(t, "flights", "com.example.x", func(e events.Envelope) bool { return e.ID == "s" })
	r.WaitFor(t, "flights", "dev.millrace.object.uploaded.v1", nil)
	inbox, err := r.Log.JetStream().Stream(functiontest.Context(t), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	// What was taken and what never can be has left the queue.
	for deadline := time.Now().Add(20 * time.Second); ; {
		info, err := inbox.Info(functiontest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the inbox still has %d messages", info.State.Msgs)
		}
	}
}
