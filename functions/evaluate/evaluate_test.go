package evaluate_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/evaluate"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

func TestScoresAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	want := expected(t)
	for _, c := range []struct{ yaml, data, model string }{
		{tumours, "tumours", "tumours-good"},
		{tumours, "tumours", "tumours-shuffled"},
		{wines, "wines", "wines-good"},
		{wines, "wines", "wines-shuffled"},
		{patients, "patients", "patients-good"},
	} {
		t.Run(c.model, func(t *testing.T) {
			w := newEnv(t, c.yaml)
			approved, ev := w.judged(w.trained(c.data, c.model))
			if !approved {
				t.Fatalf("rejected without a gate: %s", ev.Reason)
			}
			r := w.report(ev)
			for name, value := range want[c.model][""] {
				same(t, name, ev.Score.Metrics, value)
			}
			if len(ev.Score.Slices) != 0 {
				t.Error("the event carries slices; the report is for them")
			}
			if len(r.Score.Slices) != len(want[c.model])-1 {
				t.Errorf("%d slices, want %d", len(r.Score.Slices), len(want[c.model])-1)
			}
			for _, s := range r.Score.Slices {
				if len(s.Metrics) != len(want[c.model][s.Value]) {
					t.Errorf("%s=%s has %d metrics, want %d", s.Column, s.Value, len(s.Metrics), len(want[c.model][s.Value]))
				}
				for name, value := range want[c.model][s.Value] {
					same(t, s.Column+"="+s.Value+" "+name, s.Metrics, value)
				}
			}
		})
	}
}

// same holds a metric against scikit-learn's, which sums FP32 answers in FP32.
func same(t *testing.T, what string, metrics []events.Metric, want float64) {
	t.Helper()
	name := what[strings.LastIndexByte(what, ' ')+1:]
	m, ok := events.Score{Metrics: metrics}.Metric(name)
	switch {
	case !ok:
		t.Errorf("%s was not measured", what)
	case math.Abs(m.Value-want) > 1e-5*max(1, math.Abs(want)):
		t.Errorf("%s is %.9g, scikit-learn says %.9g", what, m.Value, want)
	case m.Low == nil || m.High == nil || *m.Low > m.Value || *m.High < m.Value || *m.Low == *m.High && len(metrics) > 3 && strings.HasPrefix(what, "roc"):
		t.Errorf("%s %g has the bounds %v and %v", what, m.Value, m.Low, m.High)
	}
}

func TestGates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		yaml, data      string
		champion, model string
		gates           []string
		approved        bool
		reason          string   // a part of it
		verdicts        []string // a part of each one's reason
	}{
		{
			name: "no gates", yaml: tumours, data: "tumours", model: "tumours-weak", approved: true,
			reason: "no gates; on 342 rows: roc_auc 0.79",
		},
		{
			name: "enough", yaml: tumours, data: "tumours", model: "tumours-good", approved: true,
			gates:    []string{"{metric: roc_auc, min: 0.9}", "{metric: log_loss, max: 0.5}"},
			reason:   "both gates passed on 342 rows: roc_auc 0.95",
			verdicts: []string{"at least 0.9 is required", "at most 0.5 is allowed"},
		},
		{
			name: "below the least", yaml: tumours, data: "tumours", model: "tumours-weak",
			gates:    []string{"{metric: roc_auc, min: 0.9}", "{metric: accuracy, min: 0.1}"},
			reason:   "1 of 2 gates failed on 342 rows: roc_auc is 0.79",
			verdicts: []string{"below the required 0.9", "at least 0.1 is required"},
		},
		{
			name: "first of its kind", yaml: tumours, data: "tumours", model: "tumours-good", approved: true,
			gates:    []string{"{metric: roc_auc, champion: {margin: 0.01}}"},
			verdicts: []string{"no champion yet"},
		},
		{
			name: "better than the champion", yaml: tumours, data: "tumours", champion: "tumours-weak", model: "tumours-good", approved: true,
			gates:    []string{"{metric: roc_auc, champion: {margin: 0}}", "{metric: brier, champion: {}}"},
			reason:   "of champion v1",
			verdicts: []string{"better by at least", "better by at least"},
		},
		{
			// A few rows with a very large loss make up the difference.
			name: "few rows carry the difference", yaml: tumours, data: "tumours", champion: "tumours-weak", model: "tumours-good",
			gates:    []string{"{metric: log_loss, champion: {margin: 0}}"},
			reason:   "the one gate failed",
			verdicts: []string{"the evidence is short: the difference comes from too few rows to be told from chance; about 366 rows would decide it"},
		},
		{
			name: "a bound with confidence", yaml: tumours, data: "tumours", model: "tumours-good",
			gates:    []string{"{metric: accuracy, min: 0.88, confidence: 0.95}", "{metric: roc_auc, min: 0.9, confidence: 0.95}"},
			reason:   "1 of 2 gates failed",
			verdicts: []string{"with 95 % confidence, below the required 0.88", "with 95 % confidence, at least 0.9 is required"},
		},
		{
			name: "as good as the champion", yaml: tumours, data: "tumours", champion: "tumours-good", model: "tumours-similar", approved: true,
			gates:    []string{"{metric: roc_auc, champion: {margin: 0.02, confidence: 0.9}}"},
			verdicts: []string{"90 % confidence"},
		},
		{
			name: "worse than the champion", yaml: tumours, data: "tumours", champion: "tumours-good", model: "tumours-shuffled",
			gates:    []string{"{metric: roc_auc, champion: {margin: 0.01, confidence: 0.95}}"},
			reason:   "the one gate failed",
			verdicts: []string{"0.01 is allowed"},
		},
		{
			name: "too little evidence", yaml: tumours, data: "tumours", champion: "tumours-good", model: "tumours-similar",
			gates:    []string{"{metric: accuracy, champion: {margin: 0.02, confidence: 0.999}}"},
			verdicts: []string{"there is too little evidence"},
		},
		{
			name: "itself again", yaml: tumours, data: "tumours", champion: "tumours-good", model: "tumours-good", approved: true,
			gates:    []string{"{metric: f1, champion: {margin: 0}}"},
			verdicts: []string{"the same"},
		},
		{
			name: "every slice", yaml: tumours, data: "tumours", model: "tumours-good", approved: true,
			gates:    []string{"{metric: accuracy, min: 0.7, slice: size, min_rows: 20}"},
			verdicts: []string{"all 3 values of size passed, the worst is size=medium"},
		},
		{
			name: "one slice fails", yaml: tumours, data: "tumours", model: "tumours-good",
			gates:    []string{"{metric: accuracy, min: 0.89, slice: size, min_rows: 20}"},
			reason:   "2 of 3 values of size failed",
			verdicts: []string{"2 of 3 values of size failed, the worst is size=medium", "size=large (112 rows): accuracy is", "size=medium (120 rows): accuracy is"},
		},
		{
			name: "no slice is large enough", yaml: tumours, data: "tumours", model: "tumours-good", approved: true,
			gates:    []string{"{metric: accuracy, min: 0.99, slice: size, min_rows: 5000}"},
			verdicts: []string{"no size is large enough for a verdict; without a verdict: 3 with fewer than 5,000 rows"},
		},
		{
			name: "slices against the champion", yaml: tumours, data: "tumours", champion: "tumours-good", model: "tumours-shuffled",
			gates:    []string{"{metric: log_loss, champion: {margin: 0.05}, slice: size, min_rows: 50}"},
			verdicts: []string{"1 of 3 values of size failed, the worst is size=large with 0.8516; without a verdict: 2 with too few rows to tell", "of the champion"},
		},
		{
			name: "equal in every slice", yaml: tumours, data: "tumours", champion: "tumours-good", model: "tumours-similar", approved: true,
			gates:    []string{"{metric: roc_auc, champion: {margin: 0}, slice: size, min_rows: 50}"},
			verdicts: []string{"of size is worse than the champion"},
		},
		{
			name: "multiclass", yaml: wines, data: "wines", champion: "wines-good", model: "wines-shuffled",
			gates:    []string{"{metric: macro_f1, min: 0.5}", "{metric: log_loss, champion: {margin: 0}}"},
			reason:   "both gates failed",
			verdicts: []string{"below the required 0.5", "worse by"},
		},
		{
			name: "regression", yaml: patients, data: "patients", champion: "patients-weak", model: "patients-good", approved: true,
			gates:    []string{"{metric: rmse, max: 65}", "{metric: r2, min: 0.3, champion: {margin: 0}}"},
			verdicts: []string{"at most 65", "at least 0.3", "better by at least"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newEnv(t, c.yaml, c.gates...)
			if c.champion != "" {
				w.trained(c.data, c.champion)
				w.promoted()
			}
			approved, ev := w.judged(w.trained(c.data, c.model))
			t.Log(ev.Reason)
			if approved != c.approved || !strings.Contains(ev.Reason, c.reason) {
				t.Errorf("approved is %t, want %t with %q", approved, c.approved, c.reason)
			}
			if len(ev.Verdicts) != len(c.verdicts) {
				t.Errorf("%d verdicts, want %d", len(ev.Verdicts), len(c.verdicts))
			}
			for i, v := range ev.Verdicts {
				t.Logf("%s: %t: %s", v.Gate, v.Passed, v.Reason)
				if i < len(c.verdicts) && !strings.Contains(v.Reason, c.verdicts[i]) {
					t.Errorf("verdict %d says %q, want %q", i, v.Reason, c.verdicts[i])
				}
			}
			if (ev.Champion != nil) != (c.champion != "") {
				t.Errorf("the champion's score is %+v", ev.Champion)
			}
			m := w.State(t, w.pipeline).Model(ev.Version)
			if m.Approved != approved || (m.State == state.Rejected) == approved {
				t.Errorf("version %d is %s, approved %t", m.Version, m.State, m.Approved)
			}
		})
	}
}

func TestSecondDeliveryHasNoEffect(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, min: 0.9}")
	e := w.trained("tumours", "tumours-good")
	w.judged(e)
	if o := w.Deliver(t, w.function(), evaluate.Name, e); !o.Duplicate || o.Err != nil {
		t.Errorf("outcome of the second delivery: %+v", o)
	}
	if n := len(w.Events(t, w.pipeline, events.ModelApproved{}.EventType(), events.ModelRejected{}.EventType())); n != 1 {
		t.Errorf("%d verdicts stand in the log", n)
	}
}

// What was computed is kept: the second evaluation of the same case does not
// need the model's file any more.
func TestTheSameCaseIsNotComputedAgain(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, min: 0.9}")
	_, first := w.judged(w.trained("tumours", "tumours-good"))
	ctx := functiontest.Context(t)
	for _, ref := range []events.Ref{w.put("tumours-good.onnx"), first.Holdout} {
		path, err := w.Artifacts.Path(ctx, ref)
		must(t, err)
		must(t, os.Remove(path))
	}
	w.f = w.function()
	approved, again := w.judged(w.Announce(t, w.pipeline, "gateway", events.EvaluationRequested{Version: 1})[0])
	if !approved || again.Report != first.Report || again.Reason != first.Reason {
		t.Errorf("first %+v, again %+v", first, again)
	}
}

func TestRequestedAgainUnderOtherGates(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, min: 0.9}")
	if approved, ev := w.judged(w.trained("tumours", "tumours-weak")); approved {
		t.Fatal(ev.Reason)
	}
	w.configure(tumours, "{metric: roc_auc, min: 0.7}")
	approved, ev := w.judged(w.Announce(t, w.pipeline, "gateway", events.EvaluationRequested{Version: 1})[0])
	if !approved || ev.Config != w.State(t, w.pipeline).Configured.Digest {
		t.Errorf("approved %t: %s", approved, ev.Reason)
	}
	if m := w.State(t, w.pipeline).Model(1); m.State != state.Candidate {
		t.Errorf("the version is %s", m.State)
	}
}

func TestTheChampionItselfIsEvaluatedAlone(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, champion: {margin: 0.01}}")
	w.trained("tumours", "tumours-good")
	w.promoted()
	approved, ev := w.judged(w.Announce(t, w.pipeline, "gateway", events.EvaluationRequested{Version: 1})[0])
	if !approved || !strings.Contains(ev.Verdicts[0].Reason, "the version is itself the champion") {
		t.Errorf("approved %t: %+v", approved, ev.Verdicts)
	}
}

func TestRegistered(t *testing.T) {
	t.Parallel()
	register := func(w *env) events.Envelope {
		return w.Announce(t, w.pipeline, "gateway", events.ModelRegistered{Name: "from elsewhere", Model: w.model("tumours-good.onnx")})[0]
	}
	t.Run("on the hold-out of the newest run", func(t *testing.T) {
		w := newEnv(t, tumours, "{metric: roc_auc, min: 0.9}", "{metric: roc_auc, champion: {}}")
		w.trained("tumours", "tumours-weak")
		w.promoted()
		approved, ev := w.judged(register(w))
		if !approved || ev.Version != 2 || ev.Rows != 342 || ev.Champion == nil {
			t.Errorf("approved %t: %+v", approved, ev)
		}
	})
	t.Run("without a hold-out, with gates", func(t *testing.T) {
		w := newEnv(t, tumours, "{metric: roc_auc, min: 0.9}")
		approved, ev := w.judged(register(w))
		if approved || !strings.Contains(ev.Reason, "no hold-out") || len(ev.Verdicts) != 1 {
			t.Errorf("approved %t: %+v", approved, ev)
		}
	})
	t.Run("without a hold-out, without gates", func(t *testing.T) {
		w := newEnv(t, tumours)
		approved, ev := w.judged(register(w))
		if !approved || !strings.Contains(ev.Reason, "no hold-out to evaluate it on") {
			t.Errorf("approved %t: %+v", approved, ev)
		}
	})
	t.Run("for a pipeline without data", func(t *testing.T) {
		w := newEnv(t, `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: plain}
spec:
  model: {task: regression}
  evaluate: {gates: [%s]}
`)
		approved, ev := w.judged(register(w))
		if !approved || !strings.Contains(ev.Reason, "the pipeline has no data") {
			t.Errorf("approved %t: %+v", approved, ev)
		}
	})
}

func TestWhatIsWrongWithAModelIsSaid(t *testing.T) {
	t.Parallel()
	put := func(w *env, files map[string][]byte) events.Model {
		m := events.Model{Format: "onnx", Digest: "sha256:of-all"}
		for name, content := range files {
			ref, err := w.Artifacts.PutBytes(functiontest.Context(t), content, filepath.Ext(name))
			must(t, err)
			m.Files = append(m.Files, events.File{Name: name, Ref: ref})
		}
		return m
	}
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		must(t, err)
		return b
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"garbage", map[string][]byte{"model.onnx": bytes.Repeat([]byte("garbage "), 100)}, "not an ONNX model"},
		{"empty", map[string][]byte{"model.onnx": {}}, "empty"},
		{"another signature", map[string][]byte{"model.onnx": read("testdata/wines-good.onnx")}, "alcohol"},
		{"fewer features", map[string][]byte{"model.onnx": read("testdata/tumours-narrow.onnx")}, "the pipeline has 4 features"},
		{"two files and no model", map[string][]byte{"weights.bin": {1}, "more.bin": {2}}, "none of its 2 files is called model.onnx"},
		{"a file outside", map[string][]byte{"model.onnx": read("testdata/tumours-good.onnx"), "../weights.bin": {1}}, "leads out of the model's folder"},
		{"another file beside", map[string][]byte{"model.onnx": read("testdata/tumours-good.onnx"), "notes/weights.bin": {1}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newEnv(t, tumours, "{metric: roc_auc, min: 0.6}")
			approved, ev := w.judged(w.completed(w.started("tumours"), put(w, c.files)))
			if c.want == "" {
				if !approved {
					t.Fatalf("rejected: %s", ev.Reason)
				}
				return
			}
			t.Log(ev.Reason)
			if approved || !strings.Contains(ev.Reason, c.want) || strings.Contains(ev.Reason, "/tmp/") {
				t.Errorf("approved %t: %q, want %q", approved, ev.Reason, c.want)
			}
			if len(ev.Verdicts) != 1 || ev.Verdicts[0].Gate != "signature" || ev.Verdicts[0].Passed {
				t.Errorf("verdicts: %+v", ev.Verdicts)
			}
		})
	}
}

func TestUnlabelledRowsAreLeftOut(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours)
	d := w.started("tumours")
	d.Holdout = w.rewritten("tumours.parquet", func(b *table.Batch) {
		label := b.Column("benign")
		label.Nulls = make([]bool, b.Rows)
		for i := range 42 {
			label.Nulls[i] = true
		}
	})
	approved, ev := w.judged(w.completed(d, w.model("tumours-good.onnx")))
	if !approved || ev.Rows != 300 || !strings.Contains(ev.Reason, "300 rows (42 without a label left out)") {
		t.Errorf("%d rows: %s", ev.Rows, ev.Reason)
	}
}

// A champion whose features are gone from the data can not keep successors out.
func TestAChampionThatCannotRunIsNoMeasure(t *testing.T) {
	t.Parallel()
	w := newEnv(t, patients, "{metric: rmse, champion: {margin: 0}}")
	w.trained("patients", "patients-good")
	w.promoted()
	d := w.started("patients")
	d.Holdout = w.rewritten("patients.parquet", func(b *table.Batch) { b.Schema[b.Schema.Index("s5")].Name = "ltg" })
	w.configure(strings.NewReplacer("s5:", "ltg:", ", s5", "").Replace(patients), "{metric: rmse, champion: {margin: 0}}")
	approved, ev := w.judged(w.completed(d, w.model("patients-narrow.onnx")))
	r := w.report(ev)
	if !approved || ev.Champion != nil || !strings.Contains(ev.Verdicts[0].Reason, "champion v1 cannot run") {
		t.Errorf("approved %t: %+v", approved, ev.Verdicts)
	}
	if len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "s5") {
		t.Errorf("notes: %q", r.Notes)
	}
}

// The champion was trained when the pipeline had fewer features.
func TestAChampionReadsItsOwnFeatures(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, champion: {margin: 0}}")
	w.trained("tumours", "tumours-narrow")
	w.promoted()
	approved, ev := w.judged(w.trained("tumours", "tumours-good"))
	if !approved || ev.Champion == nil {
		t.Fatalf("approved %t: %s", approved, ev.Reason)
	}
	same(t, "roc_auc", ev.Champion.Metrics, expected(t)["tumours-narrow"][""]["roc_auc"])
}

// One matrix has no names: the configuration says what its columns mean
// that the champion was trained under.
func TestAChampionIsFedAsItWasTrained(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, champion: {margin: 0.02}}")
	w.trained("tumours", "tumours-matrix")
	w.promoted()
	const order, other = "[mean_texture, mean_smoothness, mean_symmetry, mean_concavity]", "[mean_concavity, mean_symmetry, mean_texture, mean_smoothness]"
	w.configure(strings.Replace(tumours, order, other, 1), "{metric: roc_auc, champion: {margin: 0.02}}")
	approved, ev := w.judged(w.trained("tumours", "tumours-good"))
	if !approved || ev.Champion == nil {
		t.Fatalf("approved %t: %s", approved, ev.Reason)
	}
	same(t, "roc_auc", ev.Champion.Metrics, expected(t)["tumours-matrix"][""]["roc_auc"])
}

func TestReportLeadsToTheProfileOfTheScores(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ yaml, data, model string }{
		{tumours, "tumours", "tumours-good"}, {wines, "wines", "wines-good"}, {patients, "patients", "patients-good"},
	} {
		t.Run(c.data, func(t *testing.T) {
			w := newEnv(t, c.yaml)
			_, ev := w.judged(w.trained(c.data, c.model))
			raw, err := w.Artifacts.Bytes(functiontest.Context(t), w.report(ev).Scores, 1<<20)
			must(t, err)
			var p table.Profile
			must(t, p.UnmarshalBinary(raw))
			score, prediction := p.Column("score"), p.Column("prediction")
			if score == nil || prediction == nil || score.Count != ev.Rows || (prediction.Type == table.Float) != (c.data == "patients") {
				t.Errorf("scores: %+v, predictions: %+v", score, prediction)
			}
		})
	}
}

func TestNothingToJudge(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours)
	for _, d := range []events.Data{
		events.EvaluationRequested{Version: 7},
		events.TrainingCompleted{Run: "unheard-of", Model: w.model("tumours-good.onnx")},
	} {
		out := w.Handle(t, w.f, evaluate.Name, w.Announce(t, w.pipeline, "gateway", d)[0])
		if len(out) != 1 || out[0].Type != (events.EventHandled{}).EventType() {
			t.Errorf("%T led to %+v", d, out)
		}
	}
}

// rewritten stores a table of testdata with something changed.
func (w *env) rewritten(name string, change func(*table.Batch)) events.Ref {
	w.t.Helper()
	r, err := table.Open(filepath.Join("testdata", name), nil)
	must(w.t, err)
	defer func() { must(w.t, r.Close()) }()
	b, err := r.Next(1 << 20)
	must(w.t, err)
	b.Schema = r.Schema()
	change(b)
	return w.rows(b)
}
