package gateway_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// startServer serves on a port of its own; the test shuts it down.
func startServer(t *testing.T, h http.Handler) *http.Server {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, Addr: l.Addr().String(), ReadHeaderTimeout: time.Second}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func TestRequests(t *testing.T) {
	t.Parallel()
	r := lived(t)
	for _, tt := range []struct {
		path, body string
		status     int
		words      string
	}{
		{"flights/retrain", `{"by":"anna","params":{"rate":0.2}}`, 202, `"event"`},
		{"flights/retrain", `{"params":{"rat":0.2}}`, 400, `did you mean \"rate\"?`},
		{"flights/retrain", `{"params":{"rate":"0.2; id"}}`, 400, "declares a number"},
		{"flights/retrain", ``, 202, `"event"`},
		{"flights/retrain", `{"snapshot":"55555"}`, 202, `"event"`},
		{"flights/retrain", `{"snapshot":"66666"}`, 404, "no snapshot"},
		{"flights/retrain", `{"colour":"red"}`, 400, "colour"},
		{"flights/retrain", `{`, 400, "not a valid request"},
		{"copycat/retrain", `{}`, 409, "does not train"},
		{"flight/retrain", `{}`, 404, "did you mean"},
		{"flights/evaluate", `{}`, 202, `"event"`},
		{"flights/evaluate", `{"version":9}`, 404, "it has v1 to v2"},
		{"flights/promote", `{}`, 400, "version is missing"},
		{"flights/promote", `{"version":1}`, 409, "the champion"},
		{"flights/promote", `{"version":2}`, 409, "rejected: judged"},
		{"flights/promote", `{"version":3}`, 404, "no v3"},
		{"copycat/promote", `{"version":1}`, 404, "no model yet"},
		{"flights/rollback", `{}`, 409, "no earlier champion to go back to"},
		{"flights/rollback", `{"to":2}`, 409, "never been the champion"},
		{"copycat/rollback", `{}`, 409, "serves no model"},
		{"flights/dance", `{}`, 404, "nothing at POST"},
	} {
		r.post("/api/pipelines/"+tt.path, tt.body).is(tt.status, tt.words)
	}
	got := r.Events(t, "flights", "dev.millrace.training.requested.v1")
	if len(got) != 3 {
		t.Fatalf("%d requests for training", len(got))
	}
	if d := functiontest.Data[events.TrainingRequested](t, got[2]); d.Snapshot != strings.Repeat("5", 64) {
		t.Errorf("the snapshot is not written out: %+v", d)
	}
	// The same request sent twice.
	var ids []string
	for range 2 {
		ids = append(ids, string(r.post("/api/pipelines/flights/retrain", `{}`, "Idempotency-Key", "k1").is(202).body))
	}
	if ids[0] != ids[1] {
		t.Errorf("%v", ids)
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	r := lived(t)
	const path = "/api/pipelines/flights/models/lgbm.onnx"
	first := decode[api.Registered](r.put(path+"?by=anna", "weights").is(201))
	if first.Version != 3 || first.Duplicate || first.Size != 7 {
		t.Errorf("%+v", first)
	}
	if again := decode[api.Registered](r.put(path, "weights").is(201)); again.Version != 3 || !again.Duplicate || again.Event != first.Event {
		t.Errorf("again: %+v", again)
	}
	m := r.State(t, "flights").Model(3)
	if m.State != state.Candidate || m.Name != "lgbm.onnx" || m.Model.Digest != first.Digest || m.Model.Files[0].Name != "model.onnx" {
		t.Errorf("%+v", m)
	}
	r.put(path, "").is(400, "empty")
	r.put("/api/pipelines/flight/models/x", "w").is(404, "did you mean")
	// A registered model may be emitted as an event too, once its bytes are there.
	data := `{"model":{"format":"onnx","digest":"` + first.Digest + `","files":[{"name":"model.onnx","url":"x","digest":"` + first.Digest + `","size":7}]}}`
	r.event("dev.millrace.model.registered.v1", "1", data, "pipeline", "flights").is(202)
}

// deadLetter makes ingest give the upload up.
func (r env) deadLetter(upload events.Envelope) events.Envelope {
	r.t.Helper()
	return r.Announce(r.t, "flights", "ingest", events.DeadLetterRecorded{Event: upload, Function: "ingest", Attempts: 8, Reason: "the bucket is gone"})[0]
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	u := r.uploads("/uploads/flights/x.csv", "x")[0]
	letter := r.deadLetter(r.Events(t, "flights", "dev.millrace.object.uploaded.v1")[0])
	rows := decode[[]api.DeadLetterRow](r.get("/api/deadletters?pipeline=flights").is(200))
	if len(rows) != 1 || rows[0].ID != letter.ID || rows[0].Pipeline != "flights" || rows[0].Function != "ingest" {
		t.Fatalf("%+v", rows)
	}
	shown := decode[api.DeadLetter](r.get("/api/deadletters/" + letter.ID[:8]).is(200))
	if shown.Original.ID != u.Event || shown.Reason != "the bucket is gone" {
		t.Errorf("%+v", shown)
	}
	retried := r.post("/api/deadletters/"+letter.ID+"/retry", `{"by":"anna"}`).is(200, `"event"`)
	r.post("/api/deadletters/"+letter.ID+"/retry", `{}`).is(404, "no open dead letter")
	p := r.State(t, "flights")
	got := decode[struct{ Event string }](retried)
	if len(p.DeadLetters) != 0 || p.Objects["flights/x.csv"].Event != got.Event {
		t.Errorf("dead letters %+v, object %+v", p.DeadLetters, p.Objects["flights/x.csv"])
	}
	sent := r.Events(t, "flights", "dev.millrace.object.uploaded.v1")
	if len(sent) != 2 || sent[1].Attributes["target"] != "ingest" || sent[1].Attributes["retryof"] != letter.ID || sent[1].CausationID != letter.ID {
		t.Errorf("%+v", sent)
	}
}

func TestDeadLettersOfGuardedAndOriginatedEvents(t *testing.T) {
	t.Parallel()
	r := lived(t)
	for _, kind := range []string{"dev.millrace.dataset.validated.v1", "dev.millrace.training.completed.v1", "dev.millrace.rollout.completed.v1"} {
		before := r.State(t, "flights")
		letter := r.deadLetter(r.Events(t, "flights", kind)[0])
		r.post("/api/deadletters/"+letter.ID+"/retry", ``).is(200)
		after := r.State(t, "flights")
		if len(after.DeadLetters) != 0 || len(after.Models) != len(before.Models) || after.Dataset.NewPartitions != before.Dataset.NewPartitions || after.Route.Champion != 1 {
			t.Errorf("%s sent again is a new fact: %+v", kind, after)
		}
		if n := len(r.Events(t, "flights", kind)); n < 2 {
			t.Errorf("%s stands in the log %d times", kind, n)
		}
	}
	letter := r.deadLetter(r.Events(t, "flights", "dev.millrace.model.promoted.v1")[0])
	r.post("/api/deadletters/"+letter.ID+"/drop", `{"reason":"old"}`).is(200)
	if l := r.State(t, "flights").DeadLetters; len(l) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestRetryOfAForeignEvent(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	r.event("com.example.order", "1", `{"a":1}`, "pipeline", "flights", "subject", "order/7").is(202)
	letter := r.deadLetter(r.Events(t, "flights", "com.example.order")[0])
	r.post("/api/deadletters/"+letter.ID+"/retry", ``).is(200)
	if got := r.Events(t, "flights", "com.example.order"); len(got) != 2 || string(got[1].Data) != `{"a":1}` || got[1].Attributes["original"] != "1" {
		t.Errorf("%+v", got)
	}
}
