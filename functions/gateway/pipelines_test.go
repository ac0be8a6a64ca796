package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/shared/function/functiontest"
)

// mounted writes files as a kubelet mounts a ConfigMap: behind a link that is
// moved at once.
func mounted(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, version), 0o750))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(dir, version, name), []byte(content), 0o600))
	}
	must(os.Symlink(version, filepath.Join(dir, "..next")))
	must(os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")))
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
}

func started(t *testing.T, b *functiontest.Env, cfg gateway.Config) *gateway.F {
	t.Helper()
	f, err := gateway.New(cfg, b.Deps(t, gateway.Name))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(functiontest.Context(t))
	t.Cleanup(cancel)
	if err := f.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return f
}

// A pipeline with tables travels as its bundle; one with a mistake stands in
// nobody's way; a change is noticed; what has not changed is not configured again.
func TestPipelinesFromAFolder(t *testing.T) {
	t.Parallel()
	b, dir := functiontest.New(t), t.TempDir()
	source := filepath.Join("..", "..", "config", "examples", "diabetes")
	l, err := config.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	var bundle bytes.Buffer
	if err := config.Bundle(l, &bundle); err != nil {
		t.Fatal(err)
	}
	mounted(t, dir, "..1", map[string]string{"flights.yaml": flights, "diabetes.tar.gz": bundle.String(), "copycat.yaml": "kind: Mistake\n"})
	cfg := settings()
	cfg.Pipelines, cfg.Inbox = dir, false
	started(t, b, cfg)
	configured := events.PipelineConfigured{}.EventType()
	is := func(digest string) func(events.Envelope) bool {
		return func(e events.Envelope) bool {
			d, err := events.Decode[events.PipelineConfigured](e)
			return err == nil && (digest == "" || d.Data.Digest == digest) && d.Data.Dir == ""
		}
	}
	b.WaitFor(t, "flights", configured, is(""))
	b.WaitFor(t, "diabetes", configured, is(l.Digest))

	mounted(t, dir, "..2", map[string]string{
		"flights.yaml": flights + "  promote: {approval: required}\n", "diabetes.tar.gz": bundle.String(), "copycat.yaml": copycat,
	})
	b.WaitFor(t, "copycat", configured, is(""))
	first := b.Events(t, "flights", configured)[0]
	b.WaitFor(t, "flights", configured, func(e events.Envelope) bool { return e.ID != first.ID })
	if n := len(b.Events(t, "diabetes", configured)); n != 1 {
		t.Errorf("a pipeline that has not changed was told %d times", n)
	}
}

// The internal gateway takes events without the installation's token, and nothing else.
func TestInternal(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.Internal = true
	r := newGuarded(t, cfg, guardOf(t), flights)
	event := `{"specversion": "1.0", "id": "1", "source": "/elsewhere", "type": "com.example.thing", "pipeline": "flights"}`
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/", event, http.StatusAccepted},
		{"POST", "/events", event, http.StatusAccepted},
		{"PUT", "/uploads/flights/a.csv", "a,b\n1,true\n", http.StatusUnauthorized},
		{"GET", "/api/status", "", http.StatusUnauthorized},
		{"POST", "/api/pipelines/flights/rollback", "{}", http.StatusUnauthorized},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, r.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/cloudevents+json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != c.want/100 {
			t.Errorf("%s %s: %s", c.method, c.path, resp.Status)
		}
	}
}
