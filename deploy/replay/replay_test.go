package replay_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/replay"
	"millrace.dev/events"
	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/functions/evaluate"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/functions/promote"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

func TestMain(m *testing.M) {
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
	if code, was := apart.Main(evaluate.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
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
    metrics: [roc_auc, log_loss]
    slices: [size]
    gates: [%s]
  promote: {%s}
  monitor: {every: {rows: 100}, drift: {test: psi, threshold: %s}}
`

const (
	loose  = "{metric: roc_auc, min: 0.5}"
	direct = "strategy: direct"
	canary = "strategy: canary, steps: [10, 100], advance: {requests: 500, within: 1h}"
)

func pipeline(gates, rollout, threshold string) string {
	return fmt.Sprintf(tumours, gates, rollout, threshold)
}

// past is a pipeline that has lived: every decision in it was made by the real
// functions, over real data.
type past struct {
	*functiontest.Env
	t                        testing.TB
	evaluate, promote, drift function.Function
	runs                     int
	testdata                 string
}

func newPast(t testing.TB, yaml string) *past {
	t.Helper()
	p := &past{Env: functiontest.New(t), t: t, testdata: filepath.Join("..", "..", "functions", "evaluate", "testdata")}
	p.ConfigureYAML(t, yaml)
	var err error
	p.evaluate, err = evaluate.New(evaluate.Config{Threads: 1, ProbeTimeout: time.Minute}, p.Deps(t, evaluate.Name))
	must(t, err)
	p.promote, err = promote.New(promote.Config{}, p.Deps(t, promote.Name))
	must(t, err)
	p.drift, err = driftcheck.New(driftcheck.Config{Timeout: time.Minute}, p.Deps(t, driftcheck.Name))
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *past) put(path string) events.Ref {
	p.t.Helper()
	ref, err := p.Artifacts.PutFile(functiontest.Context(p.t), path, filepath.Ext(path), false)
	must(p.t, err)
	return ref
}

// trained trains a version, judges it, and rolls it out if it is approved.
func (p *past) trained(model string) {
	p.t.Helper()
	p.runs++
	run := fmt.Sprintf("run%d", p.runs)
	holdout := p.put(filepath.Join(p.testdata, "tumours.parquet"))
	profile, err := table.ProfileFile(functiontest.Context(p.t), filepath.Join(p.testdata, "tumours.parquet"))
	must(p.t, err)
	raw, err := profile.MarshalBinary()
	must(p.t, err)
	ref, err := p.Artifacts.PutBytes(functiontest.Context(p.t), raw, ".profile")
	must(p.t, err)
	file := p.put(filepath.Join(p.testdata, model+".onnx"))
	p.Announce(p.t, "tumours", "train-launcher", events.TrainingStarted{
		Run: run, Key: run, Trigger: "upload", Snapshot: "s", Config: p.State(p.t, "tumours").Configured.Digest, Train: holdout, Holdout: holdout, Profile: ref, Runtime: "process",
	})
	completed := p.Announce(p.t, "tumours", "train-launcher", events.TrainingCompleted{
		Run: run, Attempts: 1, Model: events.Model{Format: "onnx", Digest: file.Digest, Files: []events.File{{Name: "model.onnx", Ref: file}}},
	})[0]
	for _, e := range p.Handle(p.t, p.evaluate, evaluate.Name, completed) {
		if e.Type == (events.ModelApproved{}).EventType() {
			p.Handle(p.t, p.promote, promote.Name, e)
		}
	}
}

// answered logs requests that a version answered, some with an error.
func (p *past) answered(batch string, version int, requests, failed int64) {
	p.t.Helper()
	digest := "sha256:" + strings.Repeat("0", 64-len(batch)) + batch
	e := p.Announce(p.t, "tumours", "inference", events.PredictionsLogged{
		Batch: events.Ref{URL: "b", Digest: digest, Size: 1}, From: "2026-03-01T00:00:00Z", To: "2026-03-01T00:00:01Z",
		Versions: []events.VersionTraffic{{Version: version, Requests: requests, Rows: requests, Errors: failed}},
	})[0]
	p.Handle(p.t, p.promote, promote.Name, e)
}

// replay replays and sees that nothing has changed.
func (p *past) replay(r api.ReplayRequest) *api.ReplayReport {
	p.t.Helper()
	ctx := functiontest.Context(p.t)
	r.DryRun = true
	if r.From == 0 {
		r.From = 1
	}
	last, err := p.Log.Last(ctx)
	must(p.t, err)
	before := p.files()
	d := p.Deps(p.t, "replay")
	out, err := replay.Run(ctx, d, "tumours", r)
	must(p.t, err)
	after, err := p.Log.Last(ctx)
	must(p.t, err)
	left, err := os.ReadDir(d.Dir)
	must(p.t, err)
	if after != last || p.files() != before || len(left) > 0 {
		p.t.Errorf("a replay has changed the log (%d, was %d), the artifacts, or left %v", after, last, left)
	}
	p.t.Logf("%s (%d replayed, %d measured, %.2f s)", out.Summary, out.Replayed, out.Measured, out.Seconds)
	return out
}

// files are the artifacts in the store.
func (p *past) files() string {
	p.t.Helper()
	dir := strings.TrimPrefix(strings.TrimSuffix(p.Artifacts.URL(), "?create_dir=true"), "file://")
	var names []string
	must(p.t, filepath.WalkDir(filepath.Join(dir, "sha256"), func(path string, d fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return strings.Join(names, "\n")
}

func TestEvaluate(t *testing.T) {
	p := newPast(t, pipeline(loose, direct, "0.2"))
	for _, model := range []string{"tumours-good", "tumours-weak", "tumours-similar", "tumours-weak"} {
		p.trained(model)
	}
	if r := p.State(t, "tumours").Route; r.Champion != 4 {
		t.Fatalf("%+v", r)
	}
	t.Run("the code of today decides as recorded", func(t *testing.T) {
		out := p.replay(api.ReplayRequest{Function: "evaluate"})
		if out.Replayed != 4 || len(out.Differences) != 0 || out.Measured != 0 || out.Summary != "all 4 verdicts are unchanged" {
			t.Errorf("%+v", out)
		}
	})
	t.Run("stricter gates, from figures alone", func(t *testing.T) {
		out := p.replay(api.ReplayRequest{Function: "evaluate", Config: pipeline("{metric: roc_auc, min: 0.9}, {metric: roc_auc, champion: {margin: 0.02}}", direct, "0.2")})
		if out.Summary != "blocks 2 of 4 promotions; v2 and v4" || out.Measured != 0 || len(out.Differences) != 2 {
			t.Errorf("%+v", out)
		}
		d := out.Differences[0]
		if d.Version != 2 || d.Recorded.Announced[0] != "model.approved" || d.Replayed.Announced[0] != "model.rejected" || len(d.Replayed.Verdicts) != 2 || d.Sequence == 0 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("from a sequence to another", func(t *testing.T) {
		ends := p.Events(t, "tumours", events.TrainingCompleted{}.EventType())
		out := p.replay(api.ReplayRequest{Function: "evaluate", From: ends[1].Sequence + 1, To: ends[2].Sequence, Config: pipeline("{metric: roc_auc, min: 0.9}", direct, "0.2")})
		if out.Replayed != 1 || len(out.Differences) != 0 {
			t.Errorf("%+v", out)
		}
	})
	t.Run("what was not measured is measured", func(t *testing.T) {
		out := p.replay(api.ReplayRequest{Function: "evaluate", Config: strings.Replace(
			pipeline("{metric: brier, max: 0.0001}", direct, "0.2"), "[roc_auc, log_loss]", "[roc_auc, brier]", 1)})
		if out.Summary != "blocks 4 of 4 promotions; v1, v2, v3 and v4" || out.Measured == 0 {
			t.Errorf("%+v", out)
		}
	})
}

func TestPromote(t *testing.T) {
	p := newPast(t, pipeline(loose, canary, "0.2"))
	p.trained("tumours-good")
	p.trained("tumours-good")
	p.answered("1", 2, 300, 30)
	p.answered("2", 2, 300, 30)
	if r := p.State(t, "tumours").Route; r.Champion != 2 {
		t.Fatalf("%+v", r)
	}
	if out := p.replay(api.ReplayRequest{Function: "promote"}); out.Replayed != 4 || len(out.Differences) != 0 {
		t.Errorf("%+v", out)
	}
	out := p.replay(api.ReplayRequest{Function: "promote", Config: pipeline(loose, canary+", guardrails: [{metric: error_rate, max: 0.01}]", "0.2")})
	if !strings.HasPrefix(out.Summary, "v2 is aborted instead of promoted (v2 breaks error_rate <= 0.01: 30 of 300") || !strings.HasSuffix(out.Summary, "v1 serves at the end instead of v2") {
		t.Errorf("%s\n%+v", out.Summary, out.Differences)
	}
	out = p.replay(api.ReplayRequest{Function: "promote", Config: pipeline(loose, strings.Replace(canary, "10, 100", "10, 50, 100", 1), "0.2")})
	if !strings.HasPrefix(out.Summary, "v2 is under way instead of promoted") {
		t.Errorf("%s\n%+v", out.Summary, out.Differences)
	}
}

// served writes the hold-out's features, moved, as a batch of the prediction log.
func (p *past) served() {
	p.t.Helper()
	in, err := table.Open(filepath.Join(p.testdata, "tumours.parquet"), nil)
	must(p.t, err)
	defer func() { must(p.t, in.Close()) }()
	b, err := in.Next(1 << 20)
	must(p.t, err)
	out := table.Batch{Rows: b.Rows, Schema: table.Schema{{Name: "version", Type: table.Int}, {Name: "prediction", Type: table.String}, {Name: "score", Type: table.Float}}, Columns: make([]table.Vector, 3)}
	for range b.Rows {
		out.Columns[0].Ints = append(out.Columns[0].Ints, 1)
		out.Columns[1].Strings = append(out.Columns[1].Strings, "true")
		out.Columns[2].Floats = append(out.Columns[2].Floats, 0.5)
	}
	for i, c := range b.Schema {
		if strings.HasPrefix(c.Name, "mean_") {
			v := b.Columns[i]
			if c.Name == "mean_texture" {
				for k := range v.Floats {
					v.Floats[k] += 8
				}
			}
			out.Schema, out.Columns = append(out.Schema, c), append(out.Columns, v)
		}
	}
	path := filepath.Join(p.t.TempDir(), "batch.parquet")
	w, err := table.Create(path, out.Schema)
	must(p.t, err)
	must(p.t, w.Write(&out))
	must(p.t, w.Close())
	e := p.Announce(p.t, "tumours", "inference", events.PredictionsLogged{
		Batch: p.put(path), Rows: int64(b.Rows), From: "2026-03-01T00:00:00Z", To: "2026-03-01T00:00:01Z",
		Versions: []events.VersionTraffic{{Version: 1, Requests: 1, Rows: int64(b.Rows)}},
	})[0]
	p.Handle(p.t, p.drift, driftcheck.Name, e)
}

func TestDriftCheck(t *testing.T) {
	p := newPast(t, pipeline(loose, direct, "0.2"))
	p.trained("tumours-good")
	p.served()
	if out := p.replay(api.ReplayRequest{Function: "drift-check"}); out.Replayed != 1 || len(out.Differences) != 0 {
		t.Errorf("%+v", out)
	}
	out := p.replay(api.ReplayRequest{Function: "drift-check", Config: pipeline(loose, direct, "90")})
	if out.Summary != "detects drift never, not once" || out.Differences[0].Recorded.Announced[0] != "drift.detected" {
		t.Errorf("%+v", out)
	}
}

func TestRefused(t *testing.T) {
	b := functiontest.New(t)
	b.ConfigureYAML(t, pipeline(loose, direct, "0.2"))
	for name, tt := range map[string]struct {
		request api.ReplayRequest
		says    string
	}{
		"without dryRun":     {api.ReplayRequest{Function: "evaluate", From: 1}, "never changes anything"},
		"ingest":             {api.ReplayRequest{Function: "ingest", From: 1, DryRun: true}, `"ingest" cannot be replayed`},
		"from nowhere":       {api.ReplayRequest{Function: "evaluate", DryRun: true}, "from is missing"},
		"backwards":          {api.ReplayRequest{Function: "evaluate", From: 9, To: 3, DryRun: true}, "is before from"},
		"a wrong file":       {api.ReplayRequest{Function: "evaluate", From: 1, DryRun: true, Config: "kind: Pipe", File: "new.yaml"}, "new.yaml"},
		"another pipeline's": {api.ReplayRequest{Function: "evaluate", From: 1, DryRun: true, Config: strings.Replace(pipeline(loose, direct, "0.2"), "name: tumours", "name: others", 1)}, "of the pipeline others"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replay.Run(t.Context(), b.Deps(t, "replay"), "tumours", tt.request)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want it to say %q", err, tt.says)
			}
		})
	}
}
