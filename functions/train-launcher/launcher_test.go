package trainlauncher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/events"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// runnerProgram is the runner as it is shipped.
var runnerProgram string

// childVariable makes the test's program a launcher of its own, to be killed.
const childVariable = "MILLRACE_TEST_LAUNCHER"

func TestMain(m *testing.M) {
	if at := os.Getenv(childVariable); at != "" {
		if err := launcherProcess(at); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "train-launcher-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	runnerProgram = filepath.Join(dir, "runner")
	cmd := exec.Command("go", "build", "-o", runnerProgram, "./cmd/runner")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the runner: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func quick() trainlauncher.Config {
	return trainlauncher.Config{
		Runner: runnerProgram, MaxOutput: 1 << 20, MaxFiles: 50, MaxLog: 1 << 20,
		Backoff: time.Millisecond, Grace: time.Second, Poll: 10 * time.Millisecond, Sweep: 100 * time.Millisecond,
	}
}

const pipelineYAML = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data:
    uploads: ["flights/*.parquet"]
    columns:
      carrier: {type: string}
      hour: {type: int}
      distance: {type: float}
      late: {type: bool}
      time_hour: {type: timestamp}
    time: time_hour
    DATA
  model: {task: binary_classification, label: late, features: [carrier, hour, distance]}
  train:
    command: [sh, train.sh, "--rate={{params.rate}}"]
    params: {rate: 0.1}
    retries: 0
    TRAIN
`

// scene is a bench with the pipeline flights, whose trainer is a shell script.
type scene struct {
	*functiontest.Bench
	t   testing.TB
	dir string // the pipeline's folder
	cfg trainlauncher.Config
	// snapshot are the partitions of the newest snapshot.
	snapshot []events.DatasetPartition
}

// options of a scene: what is added to the pipeline's sections.
type options struct{ data, train string }

func newScene(t testing.TB, script string, o options) *scene {
	t.Helper()
	return sceneOn(t, functiontest.New(t), script, o)
}

func sceneOn(t testing.TB, b *functiontest.Bench, script string, o options) *scene {
	t.Helper()
	s := &scene{Bench: b, t: t, cfg: quick()}
	s.dir = b.ConfigureYAML(t, yaml(o), [2]string{"train.sh", script}, [2]string{"model.onnx", file(t, "model.onnx")}).Dir
	return s
}

func yaml(o options) string {
	return strings.NewReplacer("DATA", o.data, "TRAIN", o.train).Replace(pipelineYAML)
}

func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// launcher makes the function; Run starts it.
func (s *scene) launcher() *trainlauncher.F {
	s.t.Helper()
	f, err := trainlauncher.New(s.cfg, s.Deps(s.t, trainlauncher.Name))
	must(s.t, err)
	return f
}

func (s *scene) run() { s.Run(s.t, s.launcher(), trainlauncher.Name) }

// hours is a partition of one row an hour, from the hour on.
func hours(t testing.TB, path string, from, rows int) {
	t.Helper()
	schema := table.Schema{{Name: "carrier", Type: table.String}, {Name: "hour", Type: table.Int}, {Name: "distance", Type: table.Float}, {Name: "late", Type: table.Bool}, {Name: "time_hour", Type: table.Timestamp}}
	b := &table.Batch{Schema: schema, Rows: rows, Columns: make([]table.Vector, len(schema))}
	begin := time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		at := begin.Add(time.Duration(from+i) * time.Hour)
		b.Columns[0].Strings = append(b.Columns[0].Strings, []string{"AA", "UA", "DL"}[i%3])
		b.Columns[1].Ints = append(b.Columns[1].Ints, int64(at.Hour()))
		b.Columns[2].Floats = append(b.Columns[2].Floats, float64(100+i))
		b.Columns[3].Bools = append(b.Columns[3].Bools, i%4 == 0)
		b.Columns[4].Ints = append(b.Columns[4].Ints, at.UnixMicro())
	}
	w, err := table.Create(path, schema)
	must(t, err)
	defer w.Abort()
	must(t, w.Write(b))
	must(t, w.Close())
}

// upload adds a partition to the dataset, as validate does.
func (s *scene) upload(from, rows int) events.Envelope {
	s.t.Helper()
	ctx := functiontest.Context(s.t)
	path := filepath.Join(s.t.TempDir(), "p.parquet")
	hours(s.t, path, from, rows)
	profile, err := table.ProfileFile(ctx, path)
	must(s.t, err)
	b, err := profile.MarshalBinary()
	must(s.t, err)
	measured, err := s.Artifacts.PutBytes(ctx, b, ".profile")
	must(s.t, err)
	data, err := s.Artifacts.PutFile(ctx, path, ".parquet", false)
	must(s.t, err)
	added := events.DatasetPartition{
		Object: events.Object{Key: fmt.Sprintf("flights/%d.parquet", len(s.snapshot))}, Data: data, Rows: int64(rows), Profile: measured,
	}
	s.snapshot = append(s.snapshot, added)
	list, err := json.Marshal(s.snapshot)
	must(s.t, err)
	manifest, err := s.Artifacts.PutBytes(ctx, list, ".json")
	must(s.t, err)
	return s.Announce(s.t, "flights", "validate", events.DatasetValidated{
		Snapshot: manifest.Digest, Added: &added, Partitions: len(s.snapshot), Rows: int64(rows), Manifest: manifest, Profile: measured,
	})[0]
}

func (s *scene) request(d events.TrainingRequested) events.Envelope {
	s.t.Helper()
	return s.Announce(s.t, "flights", "gateway", d)[0]
}

// await waits for an event of the type that the event led to.
func await[T events.Data](s *scene, ok func(T) bool) events.Event[T] {
	s.t.Helper()
	var zero T
	e := s.WaitFor(s.t, "flights", zero.EventType(), func(e events.Envelope) bool {
		return ok == nil || ok(functiontest.Data[T](s.t, e))
	})
	return events.Event[T]{Header: e.Header, Data: functiontest.Data[T](s.t, e)}
}

// count counts the pipeline's events of the type.
func count[T events.Data](s *scene) int {
	s.t.Helper()
	var zero T
	return len(s.Events(s.t, "flights", zero.EventType()))
}

// settled waits until the function has handled the event, and gives what it announced.
func (s *scene) settled(e events.Envelope) []events.Envelope {
	s.t.Helper()
	var found []events.Envelope
	until(s.t, "the event is handled", func() bool {
		var err error
		found, err = s.Log.Record(functiontest.Context(s.t), "flights", trainlauncher.Name, events.CauseOf(e.Header))
		must(s.t, err)
		return len(found) > 0
	})
	return found
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, look := time.After(30*time.Second), time.Tick(5*time.Millisecond)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 30 s", what)
		case <-look:
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s *scene) text(ref events.Ref) string {
	s.t.Helper()
	b, err := s.Artifacts.Bytes(functiontest.Context(s.t), ref, 1<<20)
	must(s.t, err)
	return string(b)
}

func named(t testing.TB, files []events.File, name string) events.Ref {
	t.Helper()
	i := slices.IndexFunc(files, func(f events.File) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no file %s among %v", name, files)
	}
	return files[i].Ref
}

const goodTrainer = `
set -e
echo "training with $1"
cp model.onnx "$MILLRACE_OUTPUT/"
mkdir "$MILLRACE_OUTPUT/data"
cp "$MILLRACE_TRAIN_DATA"/*.parquet "$MILLRACE_OUTPUT/data/"
cp "$MILLRACE_PARAMS" "$MILLRACE_OUTPUT/params.json"
cp "$MILLRACE_PIPELINE" "$MILLRACE_OUTPUT/pipeline.json"
ln -s /etc/passwd "$MILLRACE_OUTPUT/link"
echo '{"step": 1, "loss": 0.5}
not JSON
{"step": 2, "loss": 0.25, "auc": 0.75, "note": "a text"}' >> "$MILLRACE_METRICS"
`

func TestUploadBecomesModel(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{})
	s.upload(0, 80)
	e := s.upload(80, 20)
	s.run()
	done := await[events.TrainingCompleted](s, nil)
	run := s.State(t, "flights").Run(done.Data.Run)
	start := await[events.TrainingStarted](s, nil)

	if start.Data.Trigger != "upload" || start.Data.Runtime != "process" || start.Data.Run != "r"+start.Data.Key[:12] {
		t.Errorf("the run began as %+v", start.Data)
	}
	if done.CausationID != start.ID || done.CorrelationID != start.CorrelationID {
		t.Errorf("the run's end does not lead back to its start: %s, %s", done.CausationID, done.CorrelationID)
	}
	if run.Status != state.RunCompleted || run.Version != 1 || run.Attempts != 1 {
		t.Errorf("the run is %+v", run)
	}
	if got := done.Data.Metrics; got["loss"] != 0.25 || got["auc"] != 0.75 || len(got) != 2 {
		t.Errorf("the metrics are %v", got)
	}
	if got := s.text(done.Data.Log); got != "training with --rate=0.1\n" {
		t.Errorf("the log is %q", got)
	}
	if got := s.text(done.Data.Model.Files[0].Ref); got != file(t, "model.onnx") || done.Data.Model.Digest != done.Data.Model.Files[0].Digest {
		t.Error("the model is another one")
	}
	if got := s.text(named(t, done.Data.Files, "params.json")); got != `{"rate":0.1}` {
		t.Errorf("the parameters are %s", got)
	}
	if c, err := config.FromJSON([]byte(s.text(named(t, done.Data.Files, "pipeline.json")))); err != nil || c.Name() != "flights" {
		t.Errorf("the pipeline is %v (%v)", c, err)
	}
	for _, f := range done.Data.Files {
		if f.Name == "link" {
			t.Error("a link was followed out of the output")
		}
	}
	// What the trainer saw is the train part and nothing of the hold-out.
	var seen int64
	for _, f := range done.Data.Files {
		if !strings.HasPrefix(f.Name, "data/") {
			continue
		}
		path, err := s.Artifacts.Path(functiontest.Context(t), f.Ref)
		must(t, err)
		_, rows, err := table.ReadSchema(path)
		must(t, err)
		seen += rows
	}
	holdout, err := s.Artifacts.Path(functiontest.Context(t), start.Data.Holdout)
	must(t, err)
	_, heldOut, err := table.ReadSchema(holdout)
	must(t, err)
	if total := run.TrainRows + run.HoldoutRows; seen != run.TrainRows || heldOut != run.HoldoutRows || heldOut != total/5 {
		t.Errorf("the trainer saw %d rows of %d, %d are held out", seen, total, heldOut)
	}
	var profile table.Profile
	must(t, profile.UnmarshalBinary([]byte(s.text(start.Data.Profile))))
	if profile.Rows != run.TrainRows {
		t.Errorf("the profile is of %d rows, not of the train part's %d", profile.Rows, run.TrainRows)
	}
	until(t, "the run's folder is gone", func() bool {
		return !exists(filepath.Join(s.Deps(t, trainlauncher.Name).Dir, "runs", "flights", run.Run))
	})
	s.settled(e)
}

func TestTrainingFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		train        string
		change       func(*scene)
		reason, hint string // parts
		log          string // part of the tail
	}{
		{name: "it crashes", script: "echo working; exit 3", reason: "the trainer ended with exit code 3: working", log: "working"},
		{name: "no model", script: `touch "$MILLRACE_OUTPUT/notes.txt"`, reason: "left no model.onnx in MILLRACE_OUTPUT; it left notes.txt", hint: "MILLRACE_OUTPUT"},
		{name: "an empty model", script: `touch "$MILLRACE_OUTPUT/model.onnx"`, reason: "it is not an ONNX model"},
		{name: "garbage", script: `echo "no model" > "$MILLRACE_OUTPUT/model.onnx"; echo done`, reason: "it is not an ONNX model", log: "done"},
		{
			name: "a folder", script: `mkdir "$MILLRACE_OUTPUT/model.onnx"`, reason: "left no model.onnx",
		},
		{
			name: "a link", script: `ln -s "$PWD/model.onnx" "$MILLRACE_OUTPUT/model.onnx"`, reason: "left no model.onnx",
		},
		{
			name: "other inputs", script: `cp other-inputs.onnx "$MILLRACE_OUTPUT/model.onnx"`,
			change: func(s *scene) {
				must(s.t, os.WriteFile(filepath.Join(s.dir, "other-inputs.onnx"), []byte(file(s.t, "other-inputs.onnx")), 0o600))
			},
			reason: `the model's inputs are not those of the pipeline: input carrier is int64; a feature of type string goes in as string; the feature hour has no input`,
			hint:   "one input of shape [N, 1] for each of model.features",
		},
		{
			name: "weights that are not there", script: `cp external.onnx "$MILLRACE_OUTPUT/model.onnx"`,
			change: func(s *scene) {
				must(s.t, os.WriteFile(filepath.Join(s.dir, "external.onnx"), []byte(file(s.t, "external.onnx")), 0o600))
			},
			reason: `the model keeps weights in "external.data", which is no file beside it`,
		},
		{name: "it hangs", script: "exec sleep 1000", train: "timeout: 300ms", reason: "the trainer took longer than the 300ms of train.timeout"},
		{
			name: "a secret that is not there", train: "env: {TOKEN: {secret: db/token}}",
			change: func(s *scene) { s.cfg.Secrets = s.t.TempDir() },
			reason: "train.env: secret db/token is not in ", hint: "MILLRACE_SECRETS",
		},
		{
			name: "a runner that ends at once", change: func(s *scene) {
				s.cfg.Runner = filepath.Join(s.t.TempDir(), "runner")
				must(s.t, os.WriteFile(s.cfg.Runner, []byte("#!/bin/sh\necho the disk is full >&2\nexit 1\n"), 0o700))
			},
			reason: "the runner ended 5 times and left no result: the disk is full", hint: "the disk may be full",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.script, options{train: c.train})
			if c.change != nil {
				c.change(s)
			}
			s.run()
			s.upload(0, 50)
			got := await[events.TrainingFailed](s, nil)
			if !strings.Contains(got.Data.Reason, c.reason) || !strings.Contains(got.Data.Hint, c.hint) || !strings.Contains(got.Data.LogTail, c.log) {
				t.Errorf("the reason is %q, want %q\nthe hint is %q, want %q\nthe log ends with %q, want %q",
					got.Data.Reason, c.reason, got.Data.Hint, c.hint, got.Data.LogTail, c.log)
			}
			if run := s.State(t, "flights").Run(got.Data.Run); run.Status != state.RunFailed {
				t.Errorf("the run is %+v", run)
			}
		})
	}
}

func TestModelWithWeightsBeside(t *testing.T) {
	t.Parallel()
	s := newScene(t, `cp external.onnx "$MILLRACE_OUTPUT/model.onnx"; cp external.data notes.txt "$MILLRACE_OUTPUT"`, options{})
	for _, name := range []string{"external.onnx", "external.data"} {
		must(t, os.WriteFile(filepath.Join(s.dir, name), []byte(file(t, name)), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(s.dir, "notes.txt"), []byte("notes"), 0o600))
	s.run()
	s.upload(0, 50)
	done := await[events.TrainingCompleted](s, nil).Data
	if len(done.Model.Files) != 2 || done.Model.Files[0].Name != "external.data" || done.Model.Files[1].Name != "model.onnx" || len(done.Files) != 1 {
		t.Errorf("the model is %+v, beside it %+v", done.Model, done.Files)
	}
	if done.Model.Digest != events.NewModel(done.Model.Files).Digest || done.Model.Digest == done.Model.Files[1].Digest {
		t.Errorf("the model's digest is %s", done.Model.Digest)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("CUDA_VISIBLE_DEVICES", "1")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for trainers")
	s := newScene(t, `cp model.onnx "$MILLRACE_OUTPUT/"; env > "$MILLRACE_OUTPUT/env"; cat "$(dirname "$MILLRACE_OUTPUT")/job.json"; own`,
		options{train: `env: {OMP_NUM_THREADS: "2", TOKEN: {secret: db/token}}`})
	s.cfg.Secrets = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(s.cfg.Secrets, "db"), 0o700))
	must(t, os.WriteFile(filepath.Join(s.cfg.Secrets, "db", "token"), []byte("a-secret\n"), 0o600))
	own := filepath.Join(s.dir, ".venv", "bin", "own")
	must(t, os.MkdirAll(filepath.Dir(own), 0o700))
	must(t, os.WriteFile(own, []byte("#!/bin/sh\necho from the virtual environment\n"), 0o700))
	s.run()
	s.upload(0, 50)
	done := await[events.TrainingCompleted](s, nil).Data

	env := map[string]string{}
	for line := range strings.Lines(s.text(named(t, done.Files, "env"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	for name, want := range map[string]string{
		"HOME": "/home/ada", "LANG": "de_DE.UTF-8", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2", "TOKEN": "a-secret", "MILLRACE_RUN_ID": done.Run,
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if _, ok := env["AWS_SECRET_ACCESS_KEY"]; ok {
		t.Error("the trainer sees the launcher's credentials")
	}
	if !strings.HasPrefix(env["PATH"], filepath.Join(s.dir, ".venv", "bin")+":") {
		t.Errorf("PATH is %s", env["PATH"])
	}
	log := s.text(done.Log)
	if !strings.Contains(log, "from the virtual environment") || !strings.Contains(log, `"run":`) {
		t.Errorf("the log is %s", log)
	}
	for _, e := range s.Events(t, "flights") {
		if strings.Contains(string(e.Data), "a-secret") {
			t.Errorf("the secret stands in %s", e.Type)
		}
	}
	if strings.Contains(log, "a-secret") {
		t.Error("the secret stands in job.json")
	}
}

// gated is a trainer that leaves a mark when it runs and waits for the gate.
func gated(t *testing.T) (script, trace string, open func()) {
	t.Helper()
	dir := t.TempDir()
	trace, gate := filepath.Join(dir, "trace"), filepath.Join(dir, "gate")
	script = `echo run >> ` + trace + `; until test -e ` + gate + `; do sleep 0.01; done; cp model.onnx "$MILLRACE_OUTPUT/"`
	return script, trace, func() { must(t, os.WriteFile(gate, nil, 0o600)) }
}

func TestDeliveredTwice(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{})
	f := s.launcher()
	s.Run(t, f, trainlauncher.Name)
	e := s.upload(0, 50)
	done := await[events.TrainingCompleted](s, nil)
	s.settled(e)
	start := await[events.TrainingStarted](s, nil)
	for _, again := range s.Events(t, "flights", e.Type, events.TrainingStarted{}.EventType(), events.TrainingCompleted{}.EventType()) {
		s.settled(again)
		if o := s.Deliver(t, f, trainlauncher.Name, again); o.Err != nil || !o.Duplicate {
			t.Errorf("%s again: %+v", again.Type, o)
		}
	}
	if n, m := count[events.TrainingStarted](s), count[events.TrainingCompleted](s); n != 1 || m != 1 {
		t.Errorf("%d runs were started, %d completed", n, m)
	}
	if start.Data.Run != done.Data.Run {
		t.Errorf("run %s ended, %s was started", done.Data.Run, start.Data.Run)
	}
}

// Two functions over one folder, as when an old one has not ended yet.
func TestTwoLaunchers(t *testing.T) {
	t.Parallel()
	script, trace, open := gated(t)
	s := newScene(t, script, options{})
	for range 3 {
		s.run()
	}
	s.upload(0, 50)
	until(t, "the trainer works", func() bool { return exists(trace) })
	open()
	await[events.TrainingCompleted](s, nil)
	for range 3 {
		s.run() // and some that come late
	}
	s.settled(s.request(events.TrainingRequested{}))
	b, err := os.ReadFile(trace)
	must(t, err)
	if n, m := count[events.TrainingStarted](s), count[events.TrainingCompleted](s); n != 1 || m != 1 || string(b) != "run\n" {
		t.Errorf("%d runs were started, %d completed, the trainer ran %d times", n, m, strings.Count(string(b), "\n"))
	}
}

func TestSameKeyTwice(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{})
	s.run()
	s.upload(0, 50)
	done := await[events.TrainingCompleted](s, nil)

	answer := s.settled(s.request(events.TrainingRequested{By: "ada"}))
	got := functiontest.Data[events.TrainingSkipped](t, answer[0])
	if got.Run != done.Data.Run || got.Waits || got.Reason != "the same config, data, parameters and code as run "+done.Data.Run+", which gave v1" {
		t.Errorf("got %+v", got)
	}
	// Another parameter, and another line of code, are other runs.
	s.request(events.TrainingRequested{Params: map[string]any{"rate": 0.2}})
	second := await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool { return d.Run != done.Data.Run })
	if got := s.text(second.Data.Log); got != "training with --rate=0.2\n" {
		t.Errorf("the log is %q", got)
	}
	must(t, os.WriteFile(filepath.Join(s.dir, "train.sh"), []byte(goodTrainer+"\n# changed\n"), 0o600))
	s.request(events.TrainingRequested{})
	await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool { return d.Run != done.Data.Run && d.Run != second.Data.Run })
}

// What made a run fail need not be part of its key.
func TestFailedRunCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	installed := filepath.Join(t.TempDir(), "installed")
	s := newScene(t, `test -e `+installed+` || exit 1; cp model.onnx "$MILLRACE_OUTPUT/"`, options{})
	s.run()
	s.upload(0, 50)
	failed := await[events.TrainingFailed](s, nil)
	must(t, os.WriteFile(installed, nil, 0o600))
	s.request(events.TrainingRequested{})
	done := await[events.TrainingCompleted](s, nil)
	if done.Data.Run == failed.Data.Run {
		t.Error("it is the same run")
	}
}

func TestDriftWaitsForData(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{train: "on: []"})
	s.run()
	s.upload(0, 50)
	s.request(events.TrainingRequested{})
	await[events.TrainingCompleted](s, nil)
	s.Announce(t, "flights", "promote", events.RolloutStarted{Version: 1, Strategy: "direct", Weights: []events.Weight{{Version: 1, Percent: 100}}, Reason: "first"})
	s.Announce(t, "flights", "promote", events.RolloutCompleted{Version: 1, Weights: []events.Weight{{Version: 1, Percent: 100}}, Reason: "first"})
	drift := s.Announce(t, "flights", "drift-check", events.DriftDetected{DriftCheck: events.DriftCheck{Version: 1, Reason: "distance moved"}, Action: "retrain"})[0]
	skipped := functiontest.Data[events.TrainingSkipped](t, s.settled(drift)[0])
	if !skipped.Waits || skipped.Reason != "nothing new to train on since v1; waits for the next data" {
		t.Errorf("got %+v", skipped)
	}
	e := s.upload(50, 50)
	start := await[events.TrainingStarted](s, func(d events.TrainingStarted) bool { return d.Trigger == "drift" })
	if !slices.Equal(start.Data.Causes, []string{drift.ID}) || start.CausationID != e.ID {
		t.Errorf("the run leads back to %v and %s, not to %s and %s", start.Data.Causes, start.CausationID, drift.ID, e.ID)
	}
	if s.State(t, "flights").Wish != nil {
		t.Error("the wish is still there")
	}
	await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool { return d.Run == start.Data.Run })
}

// What comes during a run is trained on when it ends, a request too.
func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	script, trace, open := gated(t)
	s := newScene(t, script, options{})
	s.run()
	s.upload(0, 50)
	until(t, "the trainer works", func() bool { return exists(trace) })
	first := await[events.TrainingStarted](s, nil)
	e := s.upload(50, 50)
	if got := functiontest.Data[events.TrainingSkipped](t, s.settled(e)[0]); !got.Waits || !strings.HasPrefix(got.Reason, "run "+first.Data.Run+" is under way; snapshot ") {
		t.Errorf("got %+v", got)
	}
	s.request(events.TrainingRequested{Params: map[string]any{"rate": 0.3}})
	open()
	second := await[events.TrainingStarted](s, func(d events.TrainingStarted) bool { return d.Trigger == "upload" && d.Run != first.Data.Run })
	if second.Data.Snapshot != s.State(t, "flights").Dataset.Snapshot || !slices.Equal(second.Data.Causes, []string{e.ID}) {
		t.Errorf("the second run is %+v", second.Data)
	}
	third := await[events.TrainingStarted](s, func(d events.TrainingStarted) bool { return d.Trigger == "request" })
	if third.Data.Params["rate"] != 0.3 {
		t.Errorf("the third run is %+v", third.Data)
	}
	await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool { return d.Run == third.Data.Run })
}

// Many uploads at once are one run, and then another on what has come since.
func TestUploadsAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{})
	for i := range 12 {
		s.upload(20*i, 20)
	}
	s.run()
	done := await[events.TrainingCompleted](s, nil)
	if p := s.State(t, "flights"); p.Run(done.Data.Run).Snapshot != p.Dataset.Snapshot {
		t.Error("a snapshot was trained on that was not the newest any more")
	}

	script, trace, open := gated(t)
	s = newScene(t, script, options{})
	s.run()
	for i := range 12 {
		s.upload(20*i, 20)
	}
	until(t, "the trainer works", func() bool { return exists(trace) })
	open()
	await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool {
		p := s.State(t, "flights")
		return p.Run(d.Run).Snapshot == p.Dataset.Snapshot
	})
	under := 0
	for _, e := range s.Events(t, "flights", events.TrainingStarted{}.EventType(), events.TrainingCompleted{}.EventType()) {
		if e.Type == (events.TrainingStarted{}).EventType() {
			under++
		} else {
			under--
		}
		if under > 1 {
			t.Fatal("two runs were under way at once")
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		window     string
		partitions int
		rows       int64 // of both parts
	}{
		{"window: {partitions: 2}", 2, 60},
		{"window: {span: 40h}", 2, 40},
		{"window: {span: 30h}", 1, 30},
		{"", 3, 90},
	} {
		t.Run(c.window, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, goodTrainer, options{data: c.window, train: "on: []"})
			s.run()
			for i := range 3 {
				s.upload(30*i, 30)
			}
			s.request(events.TrainingRequested{})
			got := await[events.TrainingStarted](s, nil).Data
			if got.Partitions != c.partitions || got.TrainRows+got.HoldoutRows != c.rows {
				t.Errorf("%d partitions with %d rows, want %d with %d", got.Partitions, got.TrainRows+got.HoldoutRows, c.partitions, c.rows)
			}
			await[events.TrainingCompleted](s, nil)
		})
	}
}

func TestNothingToCut(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{})
	s.run()
	answer := s.settled(s.upload(0, 1))
	got := functiontest.Data[events.TrainingSkipped](t, answer[0])
	if !strings.HasPrefix(got.Reason, "cut the data: ") || got.Waits {
		t.Errorf("got %+v", got)
	}
}

func TestFolderIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{})
	must(t, os.RemoveAll(s.dir))
	s.run()
	answer := s.settled(s.upload(0, 50))
	if got := functiontest.Data[events.TrainingSkipped](t, answer[0]); !strings.HasPrefix(got.Reason, "the trainer is not on this machine: ") {
		t.Errorf("got %+v", got)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	s := newScene(t, `echo '{"step": 7, "loss": 0.5}' >> "$MILLRACE_METRICS"; until test -e `+gate+`; do sleep 0.01; done; cp model.onnx "$MILLRACE_OUTPUT/"`, options{})
	s.run()
	s.upload(0, 50)
	got := await[events.TrainingProgressed](s, nil)
	if got.Data.Step != 7 || got.Data.Metrics["loss"] != 0.5 {
		t.Errorf("got %+v", got.Data)
	}
	must(t, os.WriteFile(gate, nil, 0o600))
	await[events.TrainingCompleted](s, nil)
}

// A crash between the commit of training.started and the launch: whoever
// starts next finds the run.
func TestStartedButNotLaunched(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{train: "on: []"})
	s.upload(0, 50)
	// Not started, it decides and launches nothing.
	s.Handle(t, s.launcher(), trainlauncher.Name, s.request(events.TrainingRequested{}))
	if count[events.TrainingStarted](s) != 1 {
		t.Fatal("the run was not started")
	}
	// What rules has changed meanwhile; the run keeps what ruled when it was started.
	changed := strings.Replace(yaml(options{train: "on: []"}), "train.sh", "other.sh", 1)
	must(t, os.WriteFile(filepath.Join(s.dir, "pipeline.yaml"), []byte(changed), 0o600))
	l, err := config.Load(s.dir)
	must(t, err)
	s.Configure(t, l)
	leftover := filepath.Join(s.Deps(t, trainlauncher.Name).Dir, "runs", "flights", "r000000000000")
	must(t, os.MkdirAll(leftover, 0o700))
	s.run()
	done := await[events.TrainingCompleted](s, nil)
	if got := s.text(done.Data.Log); got != "training with --rate=0.1\n" {
		t.Errorf("the log is %q", got)
	}
	if exists(leftover) {
		t.Error("the folder of a run that the log does not know is still there")
	}
}

func TestTrainPartIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, goodTrainer, options{train: "on: []"})
	s.upload(0, 50)
	s.Handle(t, s.launcher(), trainlauncher.Name, s.request(events.TrainingRequested{}))
	start := await[events.TrainingStarted](s, nil)
	path, err := s.Artifacts.Path(functiontest.Context(t), start.Data.Train)
	must(t, err)
	must(t, os.Remove(path))
	s.run()
	if got := await[events.TrainingFailed](s, nil).Data; !strings.HasPrefix(got.Reason, "read the manifest of the train part: ") {
		t.Errorf("got %+v", got)
	}
}

// A runner that is killed takes its trainer along, and the launcher starts
// another one that counts the attempt.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	for retries, want := range map[int]string{1: "", 0: "the trainer's process disappeared, and its runner with it"} {
		t.Run(fmt.Sprintf("%d retries", retries), func(t *testing.T) {
			t.Parallel()
			script, trace, open := gated(t)
			s := newScene(t, script, options{})
			s.dir = s.ConfigureYAML(t, strings.Replace(yaml(options{}), "retries: 0", fmt.Sprintf("retries: %d", retries), 1),
				[2]string{"train.sh", script}, [2]string{"model.onnx", file(t, "model.onnx")}).Dir
			s.run()
			s.upload(0, 50)
			until(t, "the trainer works", func() bool { return exists(trace) })
			folder := runner.Folder(filepath.Join(s.Deps(t, trainlauncher.Name).Dir, "runs", "flights", s.State(t, "flights").Runs[0].Run))
			pid, err := folder.Runner()
			must(t, err)
			must(t, syscall.Kill(pid, syscall.SIGKILL))
			open()
			if want != "" {
				if got := await[events.TrainingFailed](s, nil).Data; got.Reason != want {
					t.Errorf("got %+v", got)
				}
				return
			}
			if got := await[events.TrainingCompleted](s, nil).Data; got.Attempts != 2 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// A launcher is killed while a trainer works. The trainer goes on, and another
// launcher collects what it leaves.
func TestKilledLauncher(t *testing.T) {
	t.Parallel()
	for _, while := range []bool{true, false} {
		t.Run(fmt.Sprintf("the run ends while nobody is there: %v", while), func(t *testing.T) {
			t.Parallel()
			url, _ := functiontest.Servers(t, 1)
			script, trace, open := gated(t)
			s := sceneOn(t, functiontest.NewOver(t, functiontest.Dial(t, url), 1), script, options{})
			dir := s.Deps(t, trainlauncher.Name).Dir
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{url, s.Artifacts.URL(), dir, runnerProgram}, "\n"))
			child.Stderr = os.Stderr
			must(t, child.Start())
			defer func() { _ = child.Process.Kill() }()

			s.upload(0, 50)
			until(t, "the trainer works", func() bool { return exists(trace) })
			must(t, child.Process.Kill())
			_ = child.Wait()
			run := s.State(t, "flights").Runs[0].Run
			if while {
				open()
				until(t, "the run has ended", func() bool { return exists(filepath.Join(dir, "runs", "flights", run, "result.json")) })
			}
			s.run()
			if !while {
				open()
			}
			done := await[events.TrainingCompleted](s, nil)
			s.settled(s.request(events.TrainingRequested{})) // the same key
			b, err := os.ReadFile(trace)
			must(t, err)
			if n, m := count[events.TrainingStarted](s), count[events.TrainingCompleted](s); n != 1 || m != 1 || string(b) != "run\n" || done.Data.Attempts != 1 {
				t.Errorf("%d runs were started, %d completed in %d attempts, the trainer ran %d times", n, m, done.Data.Attempts, strings.Count(string(b), "\n"))
			}
		})
	}
}

// launcherProcess is a launcher that runs until it is killed.
func launcherProcess(at string) error {
	where := strings.Split(at, "\n")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	nc, err := nats.Connect(where[0])
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	log, err := eventlog.Open(ctx, nc, eventlog.Options{Logger: logger, Replicas: 1})
	if err != nil {
		return err
	}
	states, err := state.NewStore(ctx, log, logger)
	if err != nil {
		return err
	}
	artifacts, err := artifact.OpenStore(ctx, where[1], filepath.Join(where[2], "cache"))
	if err != nil {
		return err
	}
	deps := function.Deps{Log: log, States: states, Artifacts: artifacts, Logger: logger, Metrics: prometheus.NewRegistry(), Dir: where[2]}
	cfg := quick()
	cfg.Runner = where[3]
	f, err := trainlauncher.New(cfg, deps)
	if err != nil {
		return err
	}
	if _, err := function.Start(ctx, trainlauncher.Name, f, deps, function.StartOptions{}); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.New("nobody killed the launcher")
}

func TestNewWantsARunner(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Runner, cfg.Poll = filepath.Join(t.TempDir(), "nowhere"), 0
	if _, err := trainlauncher.New(cfg, function.Deps{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "MILLRACE_TRAIN_POLL must be more than 0") {
		t.Errorf("got %v", err)
	}
	cfg.Poll = time.Second
	if _, err := trainlauncher.New(cfg, function.Deps{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "nowhere is not a program") {
		t.Errorf("got %v", err)
	}
}
