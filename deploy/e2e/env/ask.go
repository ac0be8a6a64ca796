package env

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/state"
)

// Answer is the response to a request.
type Answer struct {
	Status int
	Text   string
}

// Ask sends any request, good or bad, with headers as names and values in turn.
func (s *System) Ask(t testing.TB, method, path string, body io.Reader, header ...string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(Context(t), method, s.Server()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if token := s.Token(); token != "" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	// A redirect is an answer, too.
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{answer.StatusCode, strings.TrimSpace(string(text))}
}

// Put uploads bytes to the one pipeline whose uploads match the key.
func (s *System) Put(t testing.TB, key string, content []byte) api.Upload {
	t.Helper()
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := s.Upload(Context(t), key, file, nil)
	if err != nil {
		t.Fatalf("upload %s: %v", key, err)
	}
	if len(out.Uploads) != 1 {
		t.Fatalf("upload %s: it matches %d pipelines", key, len(out.Uploads))
	}
	return out.Uploads[0]
}

// Send sends an event from outside.
func (s *System) Send(t testing.TB, id string, d events.Data, pipeline string) Answer {
	t.Helper()
	body, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return s.Ask(t, http.MethodPost, "/events", bytes.NewReader(body), "Content-Type", "application/json",
		"Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "/test", "Ce-Type", d.EventType(), "Ce-Pipeline", pipeline)
}

// Pipeline is the pipeline's state as the API shows it.
func (s *System) Pipeline(t testing.TB, name string) *state.Pipeline {
	t.Helper()
	p := new(state.Pipeline)
	if err := s.Get(Context(t), p, nil, "api/pipelines", name); err != nil {
		t.Fatal(err)
	}
	return p
}

// Why returns the causes of something.
func (s *System) Why(t testing.TB, pipeline, what string) api.Why {
	t.Helper()
	var why api.Why
	if err := s.Get(Context(t), &why, url.Values{"pipeline": {pipeline}}, "api/why", what); err != nil {
		t.Fatal(err)
	}
	return why
}
