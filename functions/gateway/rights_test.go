package gateway_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function/functiontest"
)

// decisions are data of every type that only somebody with the role operate
// may send.
func decisions() []events.Data {
	return []events.Data{
		events.TrainingRequested{}, events.EvaluationRequested{Version: 1}, events.PromotionApproved{Version: 1}, events.RollbackRequested{},
		events.ModelRegistered{Name: "x"}, events.TrainingProgressed{Run: "r"}, events.TrainingCompleted{Run: "r"}, events.TrainingFailed{Run: "r", Reason: "x"},
		events.DriftDetected{}, events.ReingestRequested{},
	}
}

// noticed are data of the types that machines may send.
func noticed() []events.Data {
	return []events.Data{
		events.ObjectUploaded{Object: events.Object{Bucket: "s3://landing", Key: "flights/a.csv", ETag: "1"}},
		events.ObjectRemoved{Object: events.Object{Bucket: "s3://landing", Key: "flights/a.csv", Sequencer: "2"}},
		events.ScheduleTicked{Schedule: "sweep", Action: "sweep", Pipeline: "flights", Due: "2026-01-01T00:00:00Z"},
	}
}

// Every type that is taken from outside is one or the other: a new one cannot
// be forgotten.
func TestForeignTypesAreSorted(t *testing.T) {
	t.Parallel()
	sorted := map[string]bool{}
	for _, d := range append(decisions(), noticed()...) {
		sorted[d.EventType()] = true
	}
	for _, kind := range events.Catalogue() {
		if kind.Foreign && !sorted[kind.Name] {
			t.Errorf("%s: is it a decision, or noticed by machines?", kind.Name)
		}
	}
}

// At the internal gateway nobody decides without a token.
func TestInternalGatewayTakesNoDecisions(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.Internal = true
	r := newGuarded(t, cfg, guardOf(t), flights)
	before := len(r.Events(t, "flights"))
	send := func(d events.Data, headers ...string) answer {
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return r.post("/events", string(body), append(headers, "Content-Type", "application/json", "ce-specversion", "1.0",
			"ce-id", d.EventType()+strings.Join(headers, ""), "ce-source", "/test", "ce-type", d.EventType(), "ce-pipeline", "flights", "ce-authid", "root", "ce-authtype", "user")...)
	}
	for _, d := range decisions() {
		for _, headers := range [][]string{nil, {"Authorization", "Bearer wrong"}} {
			send(d, headers...).is(http.StatusUnauthorized, d.EventType()+" is a decision")
		}
	}
	send(events.ScheduleTicked{Schedule: "mine", Action: "retrain", Pipeline: "flights", Due: "2026-01-01T00:00:00Z"}).is(http.StatusForbidden, "no schedule")
	if n := len(r.Events(t, "flights")); n != before {
		t.Fatalf("the log has %d more events", n-before)
	}
	for _, d := range noticed() {
		send(d).is(http.StatusAccepted)
	}
	send(events.TrainingRequested{}, "Authorization", "Bearer "+secret).is(http.StatusAccepted)
	for _, e := range r.Events(t, "flights") {
		want := ""
		if e.Type == (events.TrainingRequested{}).EventType() {
			want = "installation"
		}
		if got := e.Attributes[access.AttributeName]; got != want {
			t.Errorf("%s was caused by %q, want %q", e.Type, got, want)
		}
	}
}

// Nor does anybody by the inbox.
func TestInboxTakesNoDecisions(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	js := r.Log.JetStream()
	for _, d := range append(decisions(), noticed()[0]) {
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishMsg(functiontest.Context(t), &nats.Msg{Subject: "millrace.inbox.x", Data: body, Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {d.EventType()}, "ce-source": {"/s"}, "ce-type": {d.EventType()}, "ce-pipeline": {"flights"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	r.WaitFor(t, "flights", events.ObjectUploaded{}.EventType(), func(events.Envelope) bool { return true }) // sent last
	emptied(t, js)
	for _, d := range decisions() {
		if found := r.Events(t, "flights", d.EventType()); len(found) > 0 {
			t.Errorf("the log has %+v", found)
		}
	}
}

// emptied waits until the inbox has no messages.
func emptied(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ctx := functiontest.Context(t)
	inbox, err := js.Stream(ctx, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		info, err := inbox.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == 0 {
			tick.Stop()
			return
		}
	}
}

// A named token does what its roles allow for its pipelines, and its name is in
// what it causes; "by" stays what the sender wrote.
func TestTokensOfOnePipeline(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.json")
	token := map[string]string{}
	var content access.File
	for _, g := range []access.Grant{
		{Name: "alice", Roles: []string{"upload", "operate"}, Pipelines: []string{"flights"}},
		{Name: "bob", Roles: []string{"upload", "operate"}, Pipelines: []string{"copycat"}},
		{Name: "sender", Roles: []string{"upload"}},
	} {
		token[g.Name] = access.NewToken()
		content.Tokens = append(content.Tokens, access.Token{Grant: g, Digest: access.Digest(token[g.Name])})
	}
	if err := access.WriteFile(file, content); err != nil {
		t.Fatal(err)
	}
	guard, err := access.New(access.Settings{File: file}, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newGuarded(t, settings(), guard, flights, copycat)
	as := func(name string) []string { return []string{"Authorization", "Bearer " + token[name]} }
	put := func(name, path string) answer {
		return r.do(http.MethodPut, path, strings.NewReader("a,b\n1,true\n"), as(name)...)
	}
	put("alice", "/uploads/flights/1.csv").is(http.StatusCreated)
	put("bob", "/uploads/flights/2.csv").is(http.StatusForbidden, "copycat only")
	put("alice", "/uploads/flights/2013-1.csv").is(http.StatusForbidden, `concerns \"copycat\"`) // both pipelines take it
	put("sender", "/uploads/flights/2013-1.csv").is(http.StatusCreated)
	r.do(http.MethodDelete, "/uploads/flights/2013-1.csv", nil, as("bob")...).is(http.StatusForbidden)
	r.do(http.MethodGet, "/api/why/flights/v1?pipeline=copycat", nil, as("bob")...).is(http.StatusForbidden)
	r.do(http.MethodGet, "/api/log/unreadable?pipeline=copycat", nil, as("bob")...).is(http.StatusForbidden)
	r.post("/api/pipelines/flights/rollback", `{}`, as("bob")...).is(http.StatusForbidden)
	event := func(name, kind, pipeline string) answer {
		return r.post("/events", `{"by": "the director"}`, append(as(name), "Content-Type", "application/json", "ce-specversion", "1.0",
			"ce-id", name+kind+pipeline, "ce-source", "/test", "ce-type", kind, "ce-pipeline", pipeline, "ce-authid", "root")...)
	}
	requested := events.TrainingRequested{}.EventType()
	event("alice", requested, "flights").is(http.StatusAccepted)
	event("alice", requested, "copycat").is(http.StatusForbidden)
	event("sender", requested, "flights").is(http.StatusForbidden, "needs operate")
	event("sender", "com.example.x", "flights").is(http.StatusAccepted)
	event("bob", "com.example.x", "flights").is(http.StatusForbidden)
	event("bob", "com.example.x", "").is(http.StatusForbidden)
	for kind, want := range map[string]string{requested: "alice", "com.example.x": "sender", (events.ObjectUploaded{}).EventType(): "alice"} {
		e := r.Events(t, "flights", kind)[0]
		if e.Attributes[access.AttributeName] != want || e.Attributes[access.AttributeKind] != "api_key" {
			t.Errorf("%s was caused by %v, want %s", kind, e.Attributes, want)
		}
		if kind == requested && !strings.Contains(string(e.Data), "the director") {
			t.Errorf("the note is lost: %s", e.Data)
		}
	}
}
