package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function/functiontest"
)

const flights = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data:
    uploads: ["flights/*.csv", "s3://landing/flights/**", "gs://landing/flights/**", "azblob://landing/flights/**"]
    columns: {a: {type: float}, b: {type: bool}}
    labels: {uploads: ["flights-labels/*"], key: [request_id, row]}
  model: {task: binary_classification, label: b, features: [a]}
  train: {command: [cp, model.onnx, out], params: {rate: 0.1}}
`

// copycat wants some of what flights wants.
const copycat = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: copycat}
spec:
  data:
    uploads: ["flights/2013-*.csv"]
    columns: {a: {type: float}, b: {type: bool}}
  model: {task: binary_classification, label: b, features: [a]}
`

// env is the gateway over a real log and store, behind a real server.
type env struct {
	*functiontest.Env
	t   testing.TB
	f   *gateway.F
	url string
}

func settings() gateway.Config {
	return gateway.Config{MaxUpload: 1 << 20, IdleTimeout: 10 * time.Second, Inbox: true}
}

// newEnv is a gateway that lets everybody do everything.
func newEnv(t testing.TB, cfg gateway.Config, pipelines ...string) env {
	t.Helper()
	return newGuarded(t, cfg, access.Open(), pipelines...)
}

// secret is an installation's token.
const secret = "secret-secret-secret-secret-secret"

// guardOf admits callers with the secret only.
func guardOf(t testing.TB) *access.Guard {
	t.Helper()
	g, err := access.New(access.Settings{Token: secret}, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// newGuarded is a gateway whose callers the guard admits.
func newGuarded(t testing.TB, cfg gateway.Config, guard *access.Guard, pipelines ...string) env {
	t.Helper()
	b := functiontest.New(t)
	for _, p := range pipelines {
		b.ConfigureYAML(t, p)
	}
	deps := b.Deps(t, gateway.Name)
	deps.Guard = guard
	f, err := gateway.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	in := b.Run(t, f, gateway.Name)
	mux := access.NewMux(guard)
	in.Routes(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return env{b, t, f, srv.URL}
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// do sends a request with headers (name, value) and reads the whole answer.
func (r env) do(method, path string, body io.Reader, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(functiontest.Context(r.t), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		r.t.Fatal(err)
	}
	return answer{r.t, resp.StatusCode, resp.Header, b}
}

func (r env) get(path string) answer { r.t.Helper(); return r.do(http.MethodGet, path, nil) }

func (r env) put(path, body string) answer {
	r.t.Helper()
	return r.do(http.MethodPut, path, strings.NewReader(body))
}

func (r env) post(path, body string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodPost, path, strings.NewReader(body), headers...)
}

// event posts a CloudEvent in binary mode; attributes are (name, value).
func (r env) event(kind, id, data string, attributes ...string) answer {
	r.t.Helper()
	h := []string{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", id, "ce-source", "/test", "ce-type", kind}
	for i := 0; i < len(attributes); i += 2 {
		h = append(h, "ce-"+attributes[i], attributes[i+1])
	}
	return r.post("/events", data, h...)
}

// is checks the status, and that the body says all of the words.
func (a answer) is(status int, words ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, w := range words {
		if !bytes.Contains(a.body, []byte(w)) {
			a.t.Errorf("the answer does not say %q: %s", w, a.body)
		}
	}
	return a
}

// empty checks that there is no body, as a Knative broker wants it.
func (a answer) empty() {
	a.t.Helper()
	if len(a.body) > 0 {
		a.t.Errorf("the answer has a body: %s", a.body)
	}
}

func decode[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

func (r env) uploads(path, body string) []api.Upload {
	r.t.Helper()
	return decode[api.Uploads](r.put(path, body).is(http.StatusCreated)).Uploads
}

// objects are the pipeline's uploads and removals in the log: +key or -key.
func (r env) objects(pipeline string) string {
	r.t.Helper()
	var out []string
	for _, e := range r.Events(r.t, pipeline) {
		switch e.Type {
		case events.ObjectUploaded{}.EventType():
			out = append(out, "+"+functiontest.Data[events.ObjectUploaded](r.t, e).Name())
		case events.ObjectRemoved{}.EventType():
			out = append(out, "-"+functiontest.Data[events.ObjectRemoved](r.t, e).Name())
		}
	}
	return strings.Join(out, " ")
}

func notification(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("notification/testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
