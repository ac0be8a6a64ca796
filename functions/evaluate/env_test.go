package evaluate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/evaluate"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// TestMain makes the test program the process that models are probed in.
func TestMain(m *testing.M) {
	if code, was := apart.Main(evaluate.Tasks...); was {
		os.Exit(code)
	}
	if os.Getenv("MILLRACE_ONNXRUNTIME") == "" {
		name := "libonnxruntime.so"
		if runtime.GOOS == "darwin" {
			name = "libonnxruntime.dylib"
		}
		if err := onnx.Init(filepath.Join("..", "..", "bin", "lib", name)); err != nil {
			fmt.Fprintf(os.Stderr, "%v\nrun `make build`, which puts the library into bin/lib\n", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// env is a pipeline over real data, its log and the function.
type env struct {
	*functiontest.Env
	t        testing.TB
	f        *evaluate.F
	pipeline string
	runs     int
}

const tumours = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: tumours}
spec:
  data:
    uploads: ["tumours/*.parquet"]
    columns:
      mean_texture: {type: float}
      mean_smoothness: {type: float}
      mean_symmetry: {type: float}
      mean_concavity: {type: float}
      size: {type: string}
      benign: {type: bool, nulls: 1}
  model: {task: binary_classification, label: benign, features: [mean_texture, mean_smoothness, mean_symmetry, mean_concavity]}
  evaluate:
    metrics: [roc_auc, pr_auc, log_loss, brier, accuracy, precision, recall, f1]
    slices: [size]
    gates: [%s]
`

const wines = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: wines}
spec:
  data:
    uploads: ["wines/*.parquet"]
    columns:
      alcohol: {type: float}
      malic_acid: {type: float}
      color_intensity: {type: float}
      size: {type: string}
      grape: {type: string}
  model: {task: multiclass_classification, label: grape, features: [alcohol, malic_acid, color_intensity]}
  evaluate: {metrics: [accuracy, log_loss, macro_f1], slices: [size], gates: [%s]}
`

const patients = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: patients}
spec:
  data:
    uploads: ["patients/*.parquet"]
    columns:
      age: {type: float}
      bmi: {type: float}
      bp: {type: float}
      s5: {type: float}
      sex: {type: string}
      progression: {type: float}
  model: {task: regression, label: progression, features: [age, bmi, bp, s5]}
  evaluate: {metrics: [rmse, mae, r2, mape], slices: [sex], gates: [%s]}
`

func newEnv(t testing.TB, yaml string, gates ...string) *env {
	t.Helper()
	w := &env{Env: functiontest.New(t), t: t}
	w.configure(yaml, gates...)
	w.f = w.function()
	return w
}

// function creates the function again, as after a restart.
func (w *env) function() *evaluate.F {
	w.t.Helper()
	// A program built with -race waits a second before it ends, unless it is configured otherwise.
	probe := []string{"env", "GORACE=atexit_sleep_ms=0", os.Args[0], evaluate.Tasks[0].Name}
	cfg := evaluate.Config{Threads: 1, ProbeCommand: probe, ProbeTimeout: time.Minute}
	f, err := evaluate.New(cfg, w.Deps(w.t, evaluate.Name))
	must(w.t, err)
	return f
}

// configure makes the pipeline's file rule from now on.
func (w *env) configure(yaml string, gates ...string) {
	w.t.Helper()
	l := w.ConfigureYAML(w.t, fmt.Sprintf(yaml, strings.Join(gates, ", ")))
	w.pipeline = l.Pipeline.Name()
}

// put stores a file of testdata.
func (w *env) put(name string) events.Ref {
	w.t.Helper()
	ref, err := w.Artifacts.PutFile(functiontest.Context(w.t), filepath.Join("testdata", name), filepath.Ext(name), false)
	must(w.t, err)
	return ref
}

func (w *env) model(name string) events.Model {
	ref := w.put(name)
	return events.Model{Format: "onnx", Digest: ref.Digest, Files: []events.File{{Name: "model.onnx", Ref: ref}}}
}

// started emits a run over the data set of testdata that has the name.
func (w *env) started(data string) events.TrainingStarted {
	w.t.Helper()
	w.runs++
	holdout := w.put(data + ".parquet")
	p, err := table.ProfileFile(functiontest.Context(w.t), filepath.Join("testdata", data+".parquet"))
	must(w.t, err)
	raw, err := p.MarshalBinary()
	must(w.t, err)
	profile, err := w.Artifacts.PutBytes(functiontest.Context(w.t), raw, ".profile")
	must(w.t, err)
	d := events.TrainingStarted{
		Run: fmt.Sprintf("run%d", w.runs), Key: fmt.Sprintf("key%d", w.runs), Trigger: "upload", Reason: "new data",
		Snapshot: "snapshot", Config: w.State(w.t, w.pipeline).Configured.Digest, Train: holdout, Holdout: holdout, Profile: profile, Runtime: "process",
	}
	return d
}

// trained emits that a run over the data has made the model.
func (w *env) trained(data, model string) events.Envelope {
	w.t.Helper()
	d := w.started(data)
	return w.completed(d, w.model(model+".onnx"))
}

func (w *env) completed(d events.TrainingStarted, m events.Model) events.Envelope {
	w.t.Helper()
	w.Announce(w.t, w.pipeline, "train-launcher", d)
	return w.Announce(w.t, w.pipeline, "train-launcher", events.TrainingCompleted{Run: d.Run, Model: m, Attempts: 1})[0]
}

// promoted makes the first version the champion.
func (w *env) promoted() {
	w.t.Helper()
	weights := []events.Weight{{Version: 1, Percent: 100}}
	w.Announce(w.t, w.pipeline, "promote",
		events.RolloutStarted{Version: 1, Strategy: "direct", Weights: weights, Reason: "test"},
		events.RolloutCompleted{Version: 1, Weights: weights, Reason: "test"})
}

// judged lets the function handle the event and gives the verdict.
func (w *env) judged(e events.Envelope) (approved bool, ev events.Evaluation) {
	w.t.Helper()
	return w.verdict(w.Handle(w.t, w.f, evaluate.Name, e))
}

func (w *env) verdict(out []events.Envelope) (bool, events.Evaluation) {
	w.t.Helper()
	if len(out) != 1 {
		w.t.Fatalf("%d events came: %+v", len(out), out)
	}
	switch out[0].Type {
	case events.ModelApproved{}.EventType():
		return true, functiontest.Data[events.ModelApproved](w.t, out[0]).Evaluation
	case events.ModelRejected{}.EventType():
		return false, functiontest.Data[events.ModelRejected](w.t, out[0]).Evaluation
	}
	w.t.Fatalf("%s came: %s", out[0].Type, out[0].Data)
	return false, events.Evaluation{}
}

// report reads the evaluation's report.
func (w *env) report(ev events.Evaluation) events.EvaluationReport {
	w.t.Helper()
	raw, err := w.Artifacts.Bytes(functiontest.Context(w.t), ev.Report, 1<<20)
	must(w.t, err)
	var r events.EvaluationReport
	must(w.t, json.Unmarshal(raw, &r))
	return r
}

// expected is what scikit-learn measured: by model, slice ("" for the whole)
// and metric.
func expected(t *testing.T) map[string]map[string]map[string]float64 {
	t.Helper()
	raw, err := os.ReadFile("testdata/expected.json")
	must(t, err)
	var m map[string]map[string]map[string]float64
	must(t, json.Unmarshal(raw, &m))
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
