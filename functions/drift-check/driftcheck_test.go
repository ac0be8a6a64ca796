package driftcheck_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

const flights = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data:
    uploads: ["flights/*.parquet"]
    columns:
      carrier: {type: string}
      origin: {type: string}
      hour: {type: int}
      distance: {type: float}
      temp: {type: float, nulls: 0.1}
      late: {type: bool}
    labels: {uploads: ["labels/*.parquet"], key: [request_id, row]}
  model: {task: binary_classification, label: late, features: [carrier, origin, hour, distance, temp]}
  train: {command: [trainer]}
  evaluate: {metrics: [roc_auc, log_loss, accuracy]}
  monitor: {%s}
`

// env is a pipeline whose champion was trained on January to March.
type env struct {
	*functiontest.Env
	t *testing.T
	f *driftcheck.F
}

const pipeline = "flights"

func newEnv(t *testing.T, monitor string) *env {
	t.Helper()
	w := &env{Env: functiontest.New(t), t: t}
	w.ConfigureYAML(t, fmt.Sprintf(flights, monitor))
	f, err := driftcheck.New(driftcheck.Config{Timeout: time.Minute}, w.Deps(t, driftcheck.Name))
	must(t, err)
	w.f = f
	return w
}

// withChampion emits a run, its evaluation, and its promotion.
func (w *env) withChampion() {
	w.t.Helper()
	train := w.put(filepath.Join("testdata", "train.parquet"))
	w.Announce(w.t, pipeline, "train-launcher",
		events.TrainingStarted{
			Run: "run1", Key: "key1", Trigger: "upload", Reason: "new data", Snapshot: "snapshot",
			Train: train, Holdout: train, Profile: w.profile("train.parquet"), Runtime: "process",
		},
		events.TrainingCompleted{Run: "run1", Model: events.Model{Format: "onnx", Digest: train.Digest, Files: []events.File{{Name: "model.onnx", Ref: train}}}})
	report, err := json.Marshal(events.EvaluationReport{Scores: w.profile("holdout.parquet")})
	must(w.t, err)
	ref, err := w.Artifacts.PutBytes(functiontest.Context(w.t), report, ".json")
	must(w.t, err)
	low, high := 0.66, 0.70
	w.Announce(w.t, pipeline, "evaluate", events.ModelApproved{Evaluation: events.Evaluation{
		Version: 1, Reason: "good", Report: ref,
		Score: events.Score{Version: 1, Metrics: []events.Metric{{Name: "roc_auc", Value: 0.68, Low: &low, High: &high}}},
	}})
	w.promoted(1)
}

func (w *env) promoted(version int) {
	w.t.Helper()
	weights := []events.Weight{{Version: version, Percent: 100}}
	w.Announce(w.t, pipeline, "promote",
		events.RolloutStarted{Version: version, Strategy: "direct", Weights: weights, Reason: "test"},
		events.RolloutCompleted{Version: version, Weights: weights, Reason: "test"})
}

func (w *env) put(path string) events.Ref {
	w.t.Helper()
	ref, err := w.Artifacts.PutFile(functiontest.Context(w.t), path, filepath.Ext(path), false)
	must(w.t, err)
	return ref
}

func (w *env) profile(name string) events.Ref {
	w.t.Helper()
	p, err := table.ProfileFile(functiontest.Context(w.t), filepath.Join("testdata", name))
	must(w.t, err)
	raw, err := p.MarshalBinary()
	must(w.t, err)
	ref, err := w.Artifacts.PutBytes(functiontest.Context(w.t), raw, ".profile")
	must(w.t, err)
	return ref
}

// logged writes rows from to to of a month as a batch of the prediction log.
func (w *env) logged(month string, from, to, version int, change ...func(*table.Batch)) events.Ref {
	w.t.Helper()
	r, err := table.Open(filepath.Join("testdata", month+".parquet"), nil)
	must(w.t, err)
	defer func() { must(w.t, r.Close()) }()
	b, err := r.Next(1 << 20)
	must(w.t, err)
	rows := to - from
	out := table.Batch{Rows: rows}
	add := func(name string, typ table.Type, v table.Vector) {
		out.Schema = append(out.Schema, table.Column{Name: name, Type: typ})
		out.Columns = append(out.Columns, v)
	}
	ints := func(n func(i int) int64) (v table.Vector) {
		for i := range rows {
			v.Ints = append(v.Ints, n(i))
		}
		return v
	}
	ids := table.Vector{}
	for i := range rows {
		ids.Strings = append(ids.Strings, fmt.Sprintf("%s-%d", month, from+i))
	}
	add("request_id", table.String, ids)
	add("row", table.Int, ints(func(int) int64 { return 0 }))
	add("time", table.Timestamp, ints(func(i int) int64 { return int64(1e15) + int64(i) }))
	add("version", table.Int, ints(func(int) int64 { return int64(version) }))
	for i, c := range r.Schema() {
		v := b.Columns[i]
		part := table.Vector{}
		switch c.Type {
		case table.String:
			part.Strings = v.Strings[from:to]
		case table.Int:
			part.Ints = v.Ints[from:to]
		case table.Float:
			part.Floats = v.Floats[from:to]
		case table.Bool:
			part.Bools = v.Bools[from:to]
		}
		if v.Nulls != nil {
			part.Nulls = v.Nulls[from:to]
		}
		add(c.Name, c.Type, part)
	}
	for _, f := range change {
		f(&out)
	}
	path := filepath.Join(w.t.TempDir(), "batch.parquet")
	file, err := table.Create(path, out.Schema)
	must(w.t, err)
	must(w.t, file.Write(&out))
	must(w.t, file.Close())
	return w.put(path)
}

// predicted emits rows of a month as answered by the version.
func (w *env) predicted(month string, from, to, version int, change ...func(*table.Batch)) events.Envelope {
	w.t.Helper()
	return w.Announce(w.t, pipeline, "inference", events.PredictionsLogged{
		Batch: w.logged(month, from, to, version, change...), Rows: int64(to - from),
		From: "2013-04-01T00:00:00Z", To: fmt.Sprintf("2013-04-02T00:00:%02dZ", from%60),
		Versions: []events.VersionTraffic{{Version: version, Requests: int64(to - from), Rows: int64(to - from)}},
	})[0]
}

// handled gives the one event that the handling led to.
func (w *env) handled(e events.Envelope) events.Envelope {
	w.t.Helper()
	out := slices.DeleteFunc(w.Handle(w.t, w.f, driftcheck.Name, e), func(e events.Envelope) bool {
		return e.Type == events.EventHandled{}.EventType() && strings.Contains(string(e.Data), "announced ")
	})
	if len(out) != 1 {
		w.t.Fatalf("%d events: %+v", len(out), out)
	}
	w.t.Logf("%s: %s", out[0].Type, out[0].Data)
	return out[0]
}

func (w *env) detected(e events.Envelope) events.DriftDetected {
	w.t.Helper()
	return functiontest.Data[events.DriftDetected](w.t, w.handled(e))
}

func (w *env) checked(e events.Envelope) events.DriftChecked {
	w.t.Helper()
	return functiontest.Data[events.DriftChecked](w.t, w.handled(e))
}

func (w *env) nothing(e events.Envelope, reason string) {
	w.t.Helper()
	if got := functiontest.Data[events.EventHandled](w.t, w.handled(e)).Reason; !strings.Contains(got, reason) {
		w.t.Errorf("reason %q, want %q", got, reason)
	}
}

func (w *env) tick(action string) events.Envelope {
	w.t.Helper()
	return w.Announce(w.t, pipeline, "schedule", events.ScheduleTicked{Schedule: "nightly", Action: action, Due: time.Now().Format(time.RFC3339Nano), Pipeline: pipeline})[0]
}

func column(c events.DriftCheck, name string) events.ColumnDrift {
	i := slices.IndexFunc(c.Columns, func(d events.ColumnDrift) bool { return d.Column == name })
	if i < 0 {
		return events.ColumnDrift{}
	}
	return c.Columns[i]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAprilHasDriftedFromWinter(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 4000}, on_drift: retrain, drift: {test: psi, threshold: 0.2}")
	w.withChampion()
	w.nothing(w.predicted("april", 0, 2000, 1), "2,000 of 4,000 rows since the last check")
	last := w.predicted("april", 2000, 5000, 1)
	d := w.detected(last)
	if temp := column(d.DriftCheck, "temp"); !temp.Drifted || temp.Statistic < 0.2 {
		t.Errorf("temp: %+v", temp)
	}
	for _, name := range []string{"carrier", "origin", "hour", "distance"} {
		if c := column(d.DriftCheck, name); c.Drifted || c.Reason == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if d.Action != "retrain" || d.Version != 1 || d.Batches != 2 || d.Rows != 5000 || d.Last != last.ID || d.Prediction == nil {
		t.Errorf("%+v", d)
	}
	if d.From != "2013-04-01T00:00:00Z" || d.To != "2013-04-02T00:00:20Z" {
		t.Errorf("from %s to %s", d.From, d.To)
	}
	if p := w.State(t, pipeline); p.Predictions.UncheckedRows != 0 || p.Drift.Detected.IsZero() {
		t.Errorf("%+v, %+v", p.Predictions, p.Drift)
	}
}

func TestMoreOfTheSameHasNot(t *testing.T) {
	t.Parallel()
	for _, drift := range []string{"{test: psi}", "{test: ks, p_value: 0.001}"} {
		t.Run(drift, func(t *testing.T) {
			w := newEnv(t, "every: {rows: 5000}, drift: "+drift)
			w.withChampion()
			c := w.checked(w.predicted("march", 0, 5000, 1))
			if !strings.Contains(c.Reason, "no drift of 5 features and the prediction in 5,000 rows") {
				t.Error(c.Reason)
			}
		})
	}
}

// What a few rows look like is mostly chance: the PSI of a column with many
// values is then large without drift.
func TestFewRowsAreNotTakenForDrift(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 40}, drift: {threshold: 0.05}")
	w.withChampion()
	w.nothing(w.predicted("march", 0, 40, 1), "40 of 100 rows since the last check")
	c := w.checked(w.predicted("march", 40, 100, 1))
	if !strings.Contains(column(c.DriftCheck, "carrier").Reason, "is chance") {
		t.Errorf("carrier: %+v", column(c.DriftCheck, "carrier"))
	}
	for from := 100; from < 2000; from += 100 {
		w.checked(w.predicted("march", from, from+100, 1))
	}
}

func TestSecondDeliveryHasNoEffect(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 1000}")
	w.withChampion()
	e := w.predicted("april", 0, 1000, 1)
	w.detected(e)
	if o := w.Deliver(t, w.f, driftcheck.Name, e); !o.Duplicate || o.Err != nil {
		t.Errorf("%+v", o)
	}
}

// Deliveries that come at once lead to one check.
func TestBatchesAreCheckedOnce(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 1000}")
	w.withChampion()
	a, b := w.predicted("april", 0, 1000, 1), w.predicted("april", 1000, 2000, 1)
	done := make(chan struct{}, 2)
	for _, e := range []events.Envelope{a, b} {
		go func() {
			defer func() { done <- struct{}{} }()
			w.Deliver(t, w.f, driftcheck.Name, e)
		}()
	}
	<-done
	<-done
	if n := len(w.Events(t, pipeline, events.DriftChecked{}.EventType(), events.DriftDetected{}.EventType())); n != 1 {
		t.Errorf("%d checks of the same batches", n)
	}
}

func TestCooldown(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 1000}, on_drift: notify, cooldown: 1h")
	w.withChampion()
	if d := w.detected(w.predicted("april", 0, 1000, 1)); d.Action != "notify" {
		t.Errorf("action %s", d.Action)
	}
	e := w.predicted("april", 1000, 2000, 1)
	c := w.checked(e)
	if !column(c.DriftCheck, "temp").Drifted || !strings.Contains(c.Reason, "not again within the cooldown of 1h") {
		t.Error(c.Reason)
	}
	// The same news two hours later is news. (The time is the event's.)
	w = newEnv(t, "every: {rows: 1000}, on_drift: notify, cooldown: 0s")
	w.withChampion()
	w.detected(w.predicted("april", 0, 1000, 1))
	w.detected(w.predicted("april", 1000, 2000, 1))
}

func TestTestsOfSingleColumns(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 5000}, drift: {threshold: 50, columns: {temp: {test: ks, p_value: 0.01}, prediction: {threshold: 0.001}}}")
	w.withChampion()
	d := w.detected(w.predicted("april", 0, 5000, 1))
	temp := column(d.DriftCheck, "temp")
	if !temp.Drifted || temp.Test != "ks" || temp.PValue == nil || temp.Threshold != 0.01 {
		t.Errorf("temp: %+v", temp)
	}
	if hour := column(d.DriftCheck, "hour"); hour.Drifted || hour.Threshold != 50 {
		t.Errorf("hour: %+v", hour)
	}
	if d.Prediction == nil || d.Prediction.Threshold != 0.001 || d.Prediction.Statistic == 0 {
		t.Errorf("prediction: %+v", d.Prediction)
	}
}

func TestPredictionOfTheChampionAlone(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 2000}")
	w.withChampion()
	w.predicted("march", 0, 1000, 1)
	c := w.checked(w.predicted("march", 1000, 2000, 2, func(b *table.Batch) {
		for i := range b.Column("score").Floats {
			b.Column("score").Floats[i] = 0.99
		}
	}))
	if c.Rows != 2000 || c.Prediction == nil || c.Prediction.Drifted {
		t.Errorf("%+v", c)
	}
	w.promoted(1)
	d := w.detected(w.predicted("march", 2000, 4000, 1, func(b *table.Batch) {
		for i := range b.Column("score").Floats {
			b.Column("score").Floats[i] = 0.99
		}
	}))
	if !d.Prediction.Drifted || !strings.HasPrefix(d.Reason, "prediction drifted") {
		t.Errorf("%+v", d.Prediction)
	}
}

func TestMissingValuesAreDrift(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 1000}")
	w.withChampion()
	d := w.detected(w.predicted("march", 0, 1000, 1, func(b *table.Batch) {
		v := b.Column("distance")
		v.Nulls = make([]bool, b.Rows)
		for i := range v.Nulls {
			v.Nulls[i] = i%3 == 0
		}
	}, func(b *table.Batch) {
		v := b.Column("temp")
		v.Nulls = make([]bool, b.Rows)
		for i := range v.Nulls {
			v.Nulls[i] = true
		}
	}))
	for _, name := range []string{"distance", "temp"} {
		if c := column(d.DriftCheck, name); !c.Drifted || !strings.Contains(c.Reason, "is missing in") {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// A few values that were never there, and a few that are missing, are drift: the
// PSI of either is small.
func TestFewNewValuesAreDrift(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 1000}")
	w.withChampion()
	d := w.detected(w.predicted("march", 0, 1000, 1, func(b *table.Batch) {
		v := b.Column("carrier")
		for i := range v.Strings {
			if i%33 == 0 {
				v.Strings[i] = "ZZ"
			}
		}
	}, func(b *table.Batch) {
		v := b.Column("distance")
		v.Nulls = make([]bool, b.Rows)
		for i := range v.Nulls {
			v.Nulls[i] = i%33 == 0
		}
	}))
	for name, want := range map[string]events.ColumnDrift{
		"carrier":  {Test: "new_values", Statistic: 0.031, Reason: "carrier has values in 3.1 % of the rows that the training data never had"},
		"distance": {Test: "missing", Statistic: 0.031, Reason: "distance is missing in 3.1 % of the rows, and was missing in 0 % in training"},
	} {
		c := column(d.DriftCheck, name)
		if !c.Drifted || c.Test != want.Test || c.Reason != want.Reason || math.Abs(c.Statistic-want.Statistic) > 1e-9 || *c.PValue > 1e-4 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 1000000}")
	w.nothing(w.tick("drift-check"), "no champion")
	w.withChampion()
	w.nothing(w.tick("sweep"), "does not concern this function")
	w.nothing(w.tick("drift-check"), "0 rows predicted since the last check, of at least 100")
	w.nothing(w.predicted("april", 0, 1000, 1), "1,000 of 1,000,000 rows")
	w.detected(w.tick("drift-check"))
	w.nothing(w.tick("drift-check"), "0 rows predicted since the last check, of at least 100")
}

func TestAChampionWithoutARun(t *testing.T) {
	t.Parallel()
	register := func(w *env) {
		ref := w.put(filepath.Join("testdata", "train.parquet"))
		w.Announce(t, pipeline, "gateway", events.ModelRegistered{Model: events.Model{Format: "onnx", Digest: ref.Digest, Files: []events.File{{Name: "model.onnx", Ref: ref}}}})
		w.promoted(1)
	}
	t.Run("is compared with the dataset", func(t *testing.T) {
		w := newEnv(t, "every: {rows: 1000}")
		data := w.put(filepath.Join("testdata", "train.parquet"))
		profile := w.profile("train.parquet")
		w.Announce(t, pipeline, "validate", events.DatasetValidated{
			Snapshot: "snapshot", Partitions: 1, Rows: 6000, Manifest: data, Profile: profile,
			Added: &events.DatasetPartition{Object: events.Object{Key: "flights/a.parquet"}, Data: data, Rows: 6000, Profile: profile},
		})
		register(w)
		d := w.detected(w.predicted("april", 0, 1000, 1))
		if d.Prediction != nil || !column(d.DriftCheck, "temp").Drifted {
			t.Errorf("%+v", d)
		}
	})
	t.Run("is compared with nothing", func(t *testing.T) {
		w := newEnv(t, "every: {rows: 1000}")
		register(w)
		w.nothing(w.predicted("april", 0, 1000, 1), "nothing to compare with: champion v1 has no run")
	})
}

func TestBatchesThatAreGoneArePassedOver(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 2000}")
	w.withChampion()
	gone := functiontest.Data[events.PredictionsLogged](t, w.predicted("april", 0, 1000, 1))
	path, err := w.Artifacts.Path(functiontest.Context(t), gone.Batch)
	must(t, err)
	must(t, os.Remove(path))
	if d := w.detected(w.predicted("april", 1000, 2000, 1)); d.Batches != 1 || d.Rows != 1000 {
		t.Errorf("%+v", d)
	}
}

func (w *env) labelled(joined events.Ref, matched int64) events.Envelope {
	w.t.Helper()
	data := joined
	if joined.IsZero() {
		data = w.put(filepath.Join("testdata", "train.parquet"))
	}
	return w.Announce(w.t, pipeline, "ingest", events.LabelsIngested{
		Object: events.Object{Key: "labels/april.parquet"}, Data: data, Rows: 5000, Content: "content", Key: []string{"request_id", "row"},
		Joined: joined, Matched: matched, Unmatched: 5000 - matched,
	})[0]
}

func TestQualityOnLabels(t *testing.T) {
	t.Parallel()
	w := newEnv(t, "every: {rows: 100000}")
	w.nothing(w.labelled(events.Ref{}, 0), "no champion")
	w.withChampion()
	w.predicted("april", 0, 5000, 1)
	w.nothing(w.labelled(events.Ref{}, 0), "no prediction was found for any of the 5,000 labels")
	w.nothing(w.labelled(w.logged("april", 0, 5000, 2), 5000), "champion v1 answered none")

	c := w.checked(w.labelled(w.logged("april", 0, 5000, 1), 5000))
	var want map[string]float64
	raw, err := os.ReadFile("testdata/expected.json")
	must(t, err)
	must(t, json.Unmarshal(raw, &want))
	if len(c.Quality) != len(want) || c.QualityRows != 5000 {
		t.Errorf("%d metrics on %d rows", len(c.Quality), c.QualityRows)
	}
	for _, m := range c.Quality {
		if math.Abs(m.Value-want[m.Name]) > 1e-9 || m.Low == nil || *m.Low >= m.Value || *m.High <= m.Value {
			t.Errorf("%s is %.12g, scikit-learn says %.12g", m.Name, m.Value, want[m.Name])
		}
	}
	if !strings.Contains(c.Reason, "where its evaluation found 0.6800; that is worse, beyond chance") {
		t.Error(c.Reason)
	}
	if p := w.State(t, pipeline); p.Predictions.UncheckedRows != 5000 {
		t.Errorf("%d rows are unchecked; quality is not a check of them", p.Predictions.UncheckedRows)
	}
}
