package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// lived is an env whose pipeline flights has lived: an upload became v1, which
// is the champion, and v2 was rejected.
func lived(t testing.TB) env {
	t.Helper()
	r := newEnv(t, settings(), flights, copycat)
	u := r.uploads("/uploads/flights/2013-01.csv", "a,b\n1,true\n")[1]
	ref := events.Ref{URL: "x", Digest: u.Digest, Size: u.Size}
	object := events.Object{Key: u.Key}
	r.Announce(t, "flights", "ingest", events.PartitionIngested{Object: object, Data: ref, Rows: 1, Fields: []events.Field{{Name: "a", Type: "float"}}, Content: u.Digest})
	r.Announce(t, "flights", "validate", events.DatasetValidated{
		Snapshot: strings.Repeat("5", 64), Partitions: 1, Rows: 1, Manifest: ref, Profile: ref,
		Added: &events.DatasetPartition{Object: object, Data: ref, Rows: 1, Profile: ref},
	})
	for v := 1; v <= 2; v++ {
		run := fmt.Sprintf("run-%d", v)
		r.startRun(run)
		log, err := r.Artifacts.PutBytes(functiontest.Context(t), []byte("epoch 1 of "+run+"\n"), ".log")
		if err != nil {
			t.Fatal(err)
		}
		r.Announce(t, "flights", "train-launcher", events.TrainingCompleted{Run: run, Log: log, Seconds: 1, Attempts: 1,
			Model: events.Model{Format: "onnx", Digest: ref.Digest, Files: []events.File{{Name: "model.onnx", Ref: ref}}}})
	}
	score := func(v int, auc float64) events.Evaluation {
		return events.Evaluation{Version: v, Run: fmt.Sprintf("run-%d", v), Reason: "judged", Score: events.Score{Version: v, Metrics: []events.Metric{{Name: "roc_auc", Value: auc}}}}
	}
	r.Announce(t, "flights", "evaluate", events.ModelApproved{Evaluation: score(1, 0.7)}, events.ModelRejected{Evaluation: score(2, 0.5)})
	all := []events.Weight{{Version: 1, Percent: 100}}
	r.Announce(t, "flights", "promote", events.RolloutStarted{Version: 1, Strategy: "direct", Weights: all, Reason: "first"})
	r.Announce(t, "flights", "promote", events.RolloutCompleted{Version: 1, Weights: all, Reason: "first"}, events.ModelPromoted{Version: 1, Reason: "first"})
	return r
}

func TestLists(t *testing.T) {
	t.Parallel()
	r := lived(t)
	models := decode[[]api.ModelRow](r.get("/api/models?pipeline=flights").is(200))
	if len(models) != 2 || models[0].State != api.Champion || models[1].State != api.Rejected || models[0].Metrics["roc_auc"] != 0.7 || models[0].Run != "run-1" {
		t.Errorf("models: %+v", models)
	}
	var raw []map[string]any
	if err := json.Unmarshal(r.get("/api/models").body, &raw); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"pipeline", "version", "state", "run", "snapshot", "metrics", "created"} {
		if _, ok := raw[0][field]; !ok {
			t.Errorf("a model has no %s: %v", field, raw[0])
		}
	}
	runs := decode[[]api.RunRow](r.get("/api/runs").is(200))
	if len(runs) != 2 || runs[0].Version != 1 || runs[1].Status != api.RunCompleted || runs[0].Ended == nil {
		t.Errorf("runs: %+v", runs)
	}
	if ds := decode[[]api.DatasetRow](r.get("/api/datasets").is(200)); len(ds) != 1 || ds[0].Rows != 1 || !ds[0].Current {
		t.Errorf("datasets: %+v", ds)
	}
	routes := decode[[]api.RouteRow](r.get("/api/routes?pipeline=flights").is(200))
	if len(routes) != 1 || routes[0].Champion != 1 || routes[0].Weights[0].Percent != 100 {
		t.Errorf("routes: %+v", routes)
	}
	s := decode[api.Status](r.get("/api/status").is(200))
	if len(s.Pipelines) != 2 || s.Pipelines[1].Route.Champion != 1 || s.Pipelines[1].Models != 2 || s.Log.Events < 10 || s.Version == "" || s.Pipelines[1].Objects[api.ObjectValid] != 1 {
		t.Errorf("status: %+v", s)
	}
	if p := decode[state.Pipeline](r.get("/api/pipelines/flights").is(200)); p.Route.Champion != 1 || p.Config.Name() != "flights" {
		t.Errorf("pipeline: %+v", p)
	}
	for _, path := range []string{"/api/models?pipeline=x", "/api/pipelines/x", "/api/events?pipeline=x", "/api/nothing"} {
		r.get(path).is(404, `"error"`)
	}
	if got := string(r.get("/api/deadletters").is(200).body); got != "[]\n" {
		t.Errorf("dead letters: %s", got)
	}
}

func TestPast(t *testing.T) {
	t.Parallel()
	r := lived(t)
	e := r.Events(t, "flights", "dev.millrace.training.completed.v1")[0]
	path := fmt.Sprintf("/api/models?pipeline=flights&seq=%d", e.Sequence)
	if models := decode[[]api.ModelRow](r.get(path).is(200)); len(models) != 1 || models[0].State != api.Candidate {
		t.Errorf("at %d: %+v", e.Sequence, models)
	}
	if models := decode[[]api.ModelRow](r.get("/api/models?at=" + e.Time.Format(time.RFC3339Nano)).is(200)); len(models) != 1 {
		t.Errorf("at %s: %+v", e.Time, models)
	}
	r.get("/api/models?at=2000-01-01T00:00:00Z").is(200, "[]")
	r.get("/api/pipelines/flights?at=2000-01-01T00:00:00Z").is(404, "not there yet")
	r.get("/api/models?at=yesterday").is(400, "RFC 3339")
	r.get("/api/models?seq=-1").is(400, "sequence")
}

// lines are the events of an answer of JSON lines.
func lines(t *testing.T, a answer) []events.Envelope {
	t.Helper()
	var out []events.Envelope
	for l := range strings.Lines(string(a.body)) {
		var e events.Envelope
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func TestEvents(t *testing.T) {
	t.Parallel()
	r := lived(t)
	all := lines(t, r.get("/api/events?pipeline=flights").is(200))
	if want := len(r.Events(t, "flights")); len(all) != want {
		t.Errorf("%d events, want %d", len(all), want)
	}
	if got := lines(t, r.get("/api/events?type=model.promoted,training.completed")); len(got) != 3 {
		t.Errorf("of two types: %+v", got)
	}
	last := lines(t, r.get("/api/events?pipeline=flights&limit=2"))
	if len(last) != 2 || last[1].ID != all[len(all)-1].ID || last[0].ID != all[len(all)-2].ID {
		t.Errorf("the newest two: %+v", last)
	}
	from := lines(t, r.get("/api/events?limit=1&pipeline=flights&from="+all[1].Attributes["sequence"]))
	if len(from) != 1 || from[0].ID != all[1].ID {
		t.Errorf("from the second: %+v", from)
	}
	r.get("/api/events?from=x").is(400)
	r.get("/api/events?limit=-1").is(400)

	one := r.get("/api/events/"+all[0].ID[:13]).is(200, `"specversion":"1.0"`, all[0].ID)
	if !strings.HasPrefix(one.header.Get("Content-Type"), "application/cloudevents+json") {
		t.Error(one.header)
	}
	r.get("/api/events/00000000-0000").is(404, "no event")
}

func TestFollow(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	for kind, accept := range map[string]string{"NDJSON": "", "SSE": "text/event-stream"} {
		t.Run(kind, func(t *testing.T) {
			ctx, cancel := context.WithCancel(functiontest.Context(t))
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/api/events?pipeline=flights&type=object.uploaded&follow=1&limit=0", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", accept)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			u := r.uploads("/uploads/flights/"+kind+".csv", "x")[0]
			in := bufio.NewScanner(resp.Body)
			for in.Scan() {
				switch line := in.Text(); {
				case strings.Contains(line, u.Event):
					return
				case strings.Contains(line, "specversion"):
					t.Errorf("what was there before came too: %s", line)
				}
			}
			t.Errorf("the upload did not come: %v", in.Err())
		})
	}
}

func TestFollowersDoNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	b := functiontest.New(t)
	f, err := gateway.New(settings(), b.Deps(t, gateway.Name))
	if err != nil {
		t.Fatal(err)
	}
	mux := access.NewMux(access.Open())
	f.Routes(mux)
	r := env{Env: b, t: t, f: f}
	srv := startServer(t, mux)
	r.url = "http://" + srv.Addr
	req, err := http.NewRequestWithContext(functiontest.Context(t), http.MethodGet, r.url+"/api/events?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("the server does not end: %v", err)
	}
}

func TestWhyOverHTTP(t *testing.T) {
	t.Parallel()
	r := lived(t)
	for _, id := range []string{"v1", "flights/v1", "run-1", "flights/2013-01.csv?pipeline=flights", strings.Repeat("5", 12)} {
		path := "/api/why/" + id
		if id == "v1" {
			r.get(path).is(409, "copycat, flights")
			path += "?pipeline=flights"
		}
		w := decode[api.Why](r.get(path).is(200))
		if w.Event.ID == "" || w.Event.Summary == "" {
			t.Errorf("%s: %+v", id, w.Event)
		}
	}
	w := decode[api.Why](r.get("/api/why/flights/v1"))
	if w.Lineage == nil || w.Lineage.Run != "run-1" || len(w.Event.Effects) == 0 {
		t.Errorf("v1: %+v", w)
	}
	r.get("/api/why/flights/v7").is(404, "it has v1 to v2")
	r.get("/api/why/copycat/v1").is(404, "no model yet")
	r.get("/api/why/nothing-of-the-kind").is(404, "knows nothing")
	r.get("/api/why/flights").is(404, "millrace status flights")
}

func TestRunLog(t *testing.T) {
	t.Parallel()
	r := lived(t)
	if got := string(r.get("/api/runs/run-2/log").is(200).body); got != "epoch 1 of run-2\n" {
		t.Errorf("%q", got)
	}
	r.get("/api/runs/run-9/log").is(404, "no run")
	r.startRun("running")
	r.get("/api/runs/running/log").is(404, "has not ended")
}
