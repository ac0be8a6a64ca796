package inference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	settings "github.com/caarlos0/env/v11"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"millrace.dev/events"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/model"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/service"
)

// flights is a pipeline of the models lightgbm and logistic of shared/onnx.
const flights = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data:
    columns:
      carrier:  {type: string}
      origin:   {type: string}
      hour:     {type: int}
      distance: {type: float}
      temp:     {type: float, nulls: 0.1}
      weekend:  {type: bool}
      flight:   {type: int}
      dest:     {type: string}
      late:     {type: bool}
  model:
    task: binary_classification
    label: late
    classes: [false, true]
    features: [carrier, origin, hour, distance, temp, weekend]
`

// env is a log, a store and a function that serves from them.
type env struct {
	*functiontest.Env
	t   testing.TB
	cfg Config
	f   *F
	web *httptest.Server
}

func defaults(t testing.TB) Config {
	t.Helper()
	cfg, err := settings.ParseAsWithOptions[Config](settings.Options{Environment: map[string]string{}})
	must(t, err)
	cfg.LogEvery, cfg.LogEveryCanary = 50*time.Millisecond, 50*time.Millisecond
	return cfg
}

func newWorld(t testing.TB) *env {
	t.Helper()
	loadLibrary(t)
	return &env{Env: functiontest.New(t), t: t, cfg: defaults(t)}
}

// loadLibrary loads ONNX Runtime from where `make build` puts it.
func loadLibrary(t testing.TB) {
	t.Helper()
	path := ""
	if os.Getenv("MILLRACE_ONNXRUNTIME") == "" {
		name := "libonnxruntime.so"
		if runtime.GOOS == "darwin" {
			name = "libonnxruntime.dylib"
		}
		path = filepath.Join("..", "..", "bin", "lib", name)
	}
	if err := onnx.Init(path); err != nil {
		t.Fatal(err)
	}
}

// start starts the function and waits until it is ready.
func (w *env) start() {
	w.t.Helper()
	w.startIn(w.Deps(w.t, Name))
	w.until("the function is ready", func() error { return w.f.Ready(w.t.Context()) })
}

func (w *env) startIn(deps function.Deps) {
	w.t.Helper()
	f, err := New(w.cfg, deps)
	must(w.t, err)
	must(w.t, f.Start(functiontest.Context(w.t)))
	mux := access.NewMux(deps.Guard)
	f.Routes(mux)
	w.f, w.web = f, httptest.NewUnstartedServer(mux)
	w.web.Config.Protocols = service.Protocols()
	w.web.Start()
	w.t.Cleanup(func() { w.stop() })
}

func (w *env) stop() {
	if w.f == nil {
		return
	}
	w.web.Close()
	if err := w.f.Stop(functiontest.Context(w.t)); err != nil {
		w.t.Error(err)
	}
	w.f = nil
}

// until polls until ok says nil.
func (w *env) until(what string, ok func() error) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

// register makes a model of shared/onnx the next version, approved.
func (w *env) register(pipeline, golden string, files ...string) int {
	w.t.Helper()
	m := events.Model{Format: "onnx", Digest: "sha256:" + strings.Repeat("0", 63) + "1"}
	for i, name := range append([]string{golden + ".onnx"}, files...) {
		path := filepath.Join("..", "..", "shared", "onnx", "testdata", name)
		ref, err := w.Artifacts.PutFile(w.t.Context(), path, filepath.Ext(name), false)
		must(w.t, err)
		if i == 0 {
			name = model.File
		}
		m.Files = append(m.Files, events.File{Name: name, Ref: ref})
	}
	w.Announce(w.t, pipeline, "gateway", events.ModelRegistered{Model: m, Name: golden})
	version := len(w.State(w.t, pipeline).Models)
	w.Announce(w.t, pipeline, "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: version, Reason: "good"}})
	return version
}

// promote gives a version all traffic.
func (w *env) promote(pipeline string, version int) {
	w.t.Helper()
	weights := []events.Weight{{Version: version, Percent: 100}}
	w.Announce(w.t, pipeline, "promote", events.RolloutCompleted{Version: version, Weights: weights, Reason: "it is time"})
}

// canary gives a version a part of the traffic.
func (w *env) canary(pipeline string, version int, percent float64) {
	w.t.Helper()
	champion := w.State(w.t, pipeline).Route.Champion
	w.Announce(w.t, pipeline, "promote", events.RolloutStarted{
		Version: version, Previous: champion, Strategy: "canary", Steps: []float64{percent, 100}, Reason: "it is time",
		Weights: []events.Weight{{Version: champion, Percent: 100 - percent}, {Version: version, Percent: percent}},
	})
}

// golden is an entry of golden.json of shared/onnx.
type golden struct {
	Task     string
	Features []onnx.Feature
	Classes  []string
	Rows     map[string][]any
	Scores   []float64
	Labels   []string
}

func goldenOf(t testing.TB, model string) golden {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "shared", "onnx", "testdata", "golden.json"))
	must(t, err)
	var all map[string]golden
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	must(t, d.Decode(&all))
	return all[model]
}

func (g golden) rows() int { return len(g.Scores) / max(1, len(g.Classes)) }

// sent are the datatypes that features are sent as.
var sent = map[onnx.Type]string{onnx.String: "BYTES", onnx.Int: "INT64", onnx.Float: "FP64", onnx.Bool: "BOOL", onnx.Timestamp: "INT64"}

// inferBody is an Open Inference request for rows from to end.
func (g golden) inferBody(t testing.TB, from, end int, more map[string]any) []byte {
	t.Helper()
	datatypes := maps.Clone(sent)
	datatypes[onnx.Float] = "FP32"
	// In the order in which KServe's and Triton's clients write them.
	type tensor struct {
		Name     string `json:"name"`
		Shape    []int  `json:"shape"`
		Datatype string `json:"datatype"`
		Data     []any  `json:"data"`
	}
	var inputs []tensor
	for _, f := range g.Features {
		inputs = append(inputs, tensor{f.Name, []int{end - from, 1}, datatypes[f.Type], g.Rows[f.Name][from:end]})
	}
	body := map[string]any{"inputs": inputs}
	maps.Copy(body, more)
	raw, err := json.Marshal(body)
	must(t, err)
	return raw
}

// instance is a row as an object.
func (g golden) instance(row int) map[string]any {
	m := map[string]any{}
	for _, f := range g.Features {
		m[f.Name] = g.Rows[f.Name][row]
	}
	return m
}

// answer is what a request was answered.
type answer struct {
	Code       int
	Header     http.Header
	Raw        string
	Error      string
	Name       string         `json:"model_name"`
	Version    string         `json:"model_version"`
	ID         string         `json:"id"`
	Parameters map[string]any `json:"parameters"`
	Outputs    []struct {
		Name     string
		Shape    []int
		Datatype string
		Data     []any
	}
	Predictions []any
	Ready       bool
}

// ask sends a request with headers ("name", "value", ...).
func (w *env) ask(method, path string, body []byte, headers ...string) answer {
	w.t.Helper()
	a, err := w.try(method, path, body, headers...)
	must(w.t, err)
	return a
}

func (w *env) try(method, path string, body []byte, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, w.web.URL+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.web.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Code: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("%s %s answered no JSON: %s", method, path, raw)
	}
	return a, nil
}

// infer asks for the first rows of the golden model.
func (w *env) infer(g golden, rows int, headers ...string) answer {
	w.t.Helper()
	return w.ask("POST", "/v2/models/flights/infer", g.inferBody(w.t, 0, rows, nil), headers...)
}

// serves waits until a request is answered by the version.
func (w *env) serves(g golden, version string) {
	w.t.Helper()
	w.until("version "+version+" answers", func() error {
		if a := w.infer(g, 1); a.Version != version {
			return fmt.Errorf("version %q does: %s", a.Version, a.Raw)
		}
		return nil
	})
}

// limiter returns the limiter of a pipeline.
func (w *env) limiter(pipeline string) *limiter { return w.f.routing.Load().models[pipeline].limiter }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// servedFlights is an env in which lightgbm serves flights as version 1.
func servedFlights(t testing.TB) (*env, golden) {
	t.Helper()
	w := newWorld(t)
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	return w, goldenOf(t, "lightgbm")
}

// servedDiabetes is an env in which a model of one matrix serves a
// regression, and the names of its features.
func servedDiabetes(t testing.TB) (*env, golden, []string) {
	t.Helper()
	w, g := newWorld(t), goldenOf(t, "matrix")
	var columns, names []string
	for _, f := range g.Features {
		columns = append(columns, "      "+f.Name+": {type: float}\n")
		names = append(names, f.Name)
	}
	w.ConfigureYAML(t, `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: diabetes}
spec:
  data:
    columns:
      y: {type: float}
`+strings.Join(columns, "")+`
  model:
    task: regression
    label: y
    features: [`+strings.Join(names, ", ")+"]\n")
	w.promote("diabetes", w.register("diabetes", "matrix"))
	w.start()
	return w, g, names
}

// counter and gauge read a number.
func counter(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	must(t, c.Write(&m))
	return m.GetCounter().GetValue()
}

func gauge(t testing.TB, g prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	must(t, g.Write(&m))
	return m.GetGauge().GetValue()
}
