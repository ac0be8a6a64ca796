package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

func encoded(t *testing.T, r env) string {
	t.Helper()
	p := *r.State(t, "flights")
	p.Configured.Imported = false // which is all that differs
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lines of an export, each with its line end.
func exportLines(b []byte) []string { return slices.Collect(strings.Lines(string(b))) }

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	from := lived(t)
	report, err := from.Artifacts.PutBytes(t.Context(), []byte("deep down"), ".profile")
	if err != nil {
		t.Fatal(err)
	}
	nested, err := json.Marshal(map[string]any{"scores": report})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := from.Artifacts.PutBytes(t.Context(), nested, ".json")
	if err != nil {
		t.Fatal(err)
	}
	large, err := from.Artifacts.PutBytes(t.Context(), bytes.Repeat([]byte("0123456789abcdef"), 80_000), ".bin")
	if err != nil {
		t.Fatal(err)
	}
	gone := events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat("0", 64), Size: 1}
	from.Announce(t, "flights", "evaluate", events.ModelRejected{Evaluation: events.Evaluation{Version: 2, Reason: "again", Report: outer, Holdout: large}})
	from.Announce(t, "flights", "evaluate", events.ModelRejected{Evaluation: events.Evaluation{Version: 2, Reason: "again", Report: outer, Holdout: gone}})
	file := from.get("/api/pipelines/flights/export?artifacts=true").is(http.StatusOK).body
	if strings.Contains(string(file), `"sequence"`) {
		t.Error("the export has sequences in it")
	}

	to := newEnv(t, settings())
	done := decode[api.Imported](to.post("/api/import", string(file)).is(http.StatusOK))
	if n := len(from.Events(t, "flights")); done.Events != n || done.New != n || done.Pipeline != "flights" || done.Artifacts < 5 || done.Missing != 1 {
		t.Errorf("%+v of %d events", done, n)
	}
	if got, want := encoded(t, to), encoded(t, from); got != want {
		t.Errorf("the state is another one:\n%s\n%s", got, want)
	}
	for _, ref := range []events.Ref{report, outer, large} {
		if _, err := to.Artifacts.Bytes(t.Context(), ref, 8<<20); err != nil {
			t.Error(err)
		}
	}
	if again := to.get("/api/pipelines/flights/export?artifacts=true").is(http.StatusOK).body; !bytes.Equal(again, file) {
		t.Error("an export of the import is another file")
	}
	if done := decode[api.Imported](to.post("/api/import", string(file)).is(http.StatusOK)); done.New != 0 {
		t.Errorf("again: %+v", done)
	}
	t.Run("the past is that of the log it came from", func(t *testing.T) {
		at := from.Events(t, "flights", "dev.millrace.training.completed.v1")[0].Time.Format(time.RFC3339Nano)
		want := from.get("/api/models?pipeline=flights&at=" + at).is(200).body
		if got := to.get("/api/models?pipeline=flights&at=" + at).is(200).body; !bytes.Equal(got, want) || len(want) < 10 {
			t.Errorf("%s, want %s", got, want)
		}
		to.get("/api/pipelines/flights?at=2000-01-01T00:00:00Z").is(404, "not there yet")
	})
	t.Run("only the log", func(t *testing.T) {
		r := newEnv(t, settings())
		r.post("/api/import", string(from.get("/api/pipelines/flights/export").is(200).body)).is(200, `"artifacts":0`)
		if encoded(t, r) != encoded(t, from) {
			t.Error("the state is another one")
		}
		if _, err := r.Artifacts.Bytes(t.Context(), large, 8<<20); err == nil || !strings.Contains(err.Error(), artifact.ErrNotFound.Error()) {
			t.Errorf("an artifact came along: %v", err)
		}
	})
	t.Run("over a history of its own", func(t *testing.T) {
		newEnv(t, settings(), flights).post("/api/import", string(file)).is(http.StatusConflict, "history of its own", "--dir")
	})
}

func TestImportRefused(t *testing.T) {
	t.Parallel()
	from := lived(t)
	file := exportLines(from.get("/api/pipelines/flights/export?artifacts=1").body)
	event := slices.IndexFunc(file, func(l string) bool { return strings.Contains(l, "logplace") })
	bytesLine := slices.IndexFunc(file, func(l string) bool { return strings.Contains(l, "data_base64") })
	to := newEnv(t, settings())
	for name, tt := range map[string]struct {
		change func([]string) []string
		says   string
	}{
		"nothing":            {func([]string) []string { return nil }, "not a whole export"},
		"another file":       {func([]string) []string { return []string{`{"type":"x"}` + "\n"} }, "not an export of Millrace"},
		"no JSON":            {func(f []string) []string { f[event] = "]\n"; return f }, "line "},
		"a newer format":     {func(f []string) []string { f[0] = strings.Replace(f[0], `"format":1`, `"format":2`, 1); return f }, "format 2"},
		"cut off":            {func(f []string) []string { return f[:len(f)-1] }, "not a whole export"},
		"an event less":      {func(f []string) []string { return slices.Delete(f, event, event+1) }, "it counts"},
		"more after the end": {func(f []string) []string { return append(f, f[event]) }, "has ended before"},
		"an artifact's bytes": {func(f []string) []string {
			f[bytesLine] = strings.Replace(f[bytesLine], `"data_base64":"`, `"data_base64":"AAAA`, 1)
			return f
		}, "not those of its digest"},
		"a part that is missed": {func(f []string) []string {
			f[bytesLine] = strings.Replace(f[bytesLine], `"part":"1/1"`, `"part":"1/2"`, 1)
			return f
		}, "is missing"},
		"another data": {func(f []string) []string {
			f[event] = strings.Replace(f[event], `"recordedtime":"2`, `"recordedtime":"x2`, 1)
			return f
		}, "not a time"},
	} {
		t.Run(name, func(t *testing.T) {
			to.post("/api/import", strings.Join(tt.change(slices.Clone(file)), "")).is(http.StatusBadRequest, tt.says)
		})
	}
	if n, _, err := to.Log.Size(t.Context()); err != nil || n != 0 {
		t.Errorf("%d events were imported of files that are wrong: %v", n, err)
	}
	from.get("/api/pipelines/flight/export").is(404, "did you mean")
	from.get("/api/pipelines/flights/export?artifacts=perhaps").is(400, "true or false")
}

// worker is a function that counts what it handles of a type.
type worker[T events.Data] struct{ got chan events.Event[T] }

func (w worker[T]) Register(m *function.Mux) {
	function.Handle(m, func(_ context.Context, e events.Event[T], _ *state.Pipeline) ([]events.Data, error) {
		w.got <- e
		return function.Nothing("seen")
	})
}

// What was imported is not handled, whether it has a record or not; what
// comes after is.
func TestImportedEventsAreNotHandled(t *testing.T) {
	t.Parallel()
	from := lived(t)
	file := from.get("/api/pipelines/flights/export").body
	to := newEnv(t, settings())
	w := worker[events.ModelApproved]{make(chan events.Event[events.ModelApproved], 10)}
	to.Run(t, w, "promote")
	to.post("/api/import", string(file)).is(200)
	to.Announce(t, "flights", "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: 2, Reason: "again"}})
	if e := <-w.got; e.Data.Version != 2 {
		t.Errorf("v%d, which was imported, was handled", e.Data.Version)
	}
	// The champion of the import is still the champion.
	if p := to.State(t, "flights"); p.Route.Champion != 1 {
		t.Errorf("%+v", p.Route)
	}
}

func FuzzImport(f *testing.F) {
	from := lived(f)
	file := from.get("/api/pipelines/flights/export?artifacts=1").body
	f.Add(file)
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/x","type":"dev.millrace.export.begun.v1","data":{"format":1,"pipeline":"p"}}`))
	to := newEnv(f, settings())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := to
		r.t = t
		if a := r.do(http.MethodPost, "/api/import", bytes.NewReader(b)); a.status != 200 && a.status != 400 && a.status != 409 {
			t.Errorf("%d: %s", a.status, a.body)
		}
	})
}

// Nothing is appended to a pipeline that lives here, however well a history
// begins as its own does: what it decides, its own functions decide. An
// imported configuration counts until the pipeline is configured here.
func TestImportIntoALivingPipeline(t *testing.T) {
	t.Parallel()
	from := lived(t)
	other := newEnv(t, settings())
	other.post("/api/import", string(from.get("/api/pipelines/flights/export").is(200).body)).is(200)
	other.Announce(t, "flights", "promote", events.ModelPromoted{Version: 2, Reason: "forged"})
	forged := string(other.get("/api/pipelines/flights/export").is(200).body)
	before := len(from.Events(t, "flights"))
	from.post("/api/import", forged).is(http.StatusConflict, "lives here already", "its own functions alone continue the history")
	if n := len(from.Events(t, "flights")); n != before || from.State(t, "flights").Route.Champion != 1 {
		t.Errorf("%d events became %d, the champion is v%d", before, n, from.State(t, "flights").Route.Champion)
	}
	if from.State(t, "flights").Configured.Imported || !other.State(t, "flights").Configured.Imported {
		t.Error("the wrong one has an imported configuration")
	}
	dir := other.State(t, "flights").Configured.Dir
	other.ConfigureYAML(t, flights)
	if c := other.State(t, "flights").Configured; c.Imported {
		t.Errorf("configured here (it was in %s): %+v", dir, c)
	}
}
