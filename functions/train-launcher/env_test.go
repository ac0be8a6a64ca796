package trainlauncher_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// runnerProgram is the runner as it is shipped.
var runnerProgram string

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

// env is a functiontest.Env with the pipeline flights, whose trainer is a shell script.
type env struct {
	*functiontest.Env
	t   testing.TB
	dir string // the pipeline's folder
	cfg trainlauncher.Config
	// snapshot are the partitions of the newest snapshot.
	snapshot []events.DatasetPartition
}

// options of an env: what is added to the pipeline's sections.
type options struct{ data, train string }

func newEnv(t testing.TB, script string, o options) *env {
	t.Helper()
	return newEnvOn(t, functiontest.New(t), script, o)
}

func newEnvOn(t testing.TB, b *functiontest.Env, script string, o options) *env {
	t.Helper()
	s := &env{Env: b, t: t, cfg: quick()}
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
func (s *env) launcher() *trainlauncher.F {
	s.t.Helper()
	f, err := trainlauncher.New(s.cfg, s.Deps(s.t, trainlauncher.Name))
	must(s.t, err)
	return f
}

func (s *env) run() { s.Run(s.t, s.launcher(), trainlauncher.Name) }

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

// upload adds a partition of hours to the dataset.
func (s *env) upload(from, rows int) events.Envelope {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "p.parquet")
	hours(s.t, path, from, rows)
	return s.admit(path, rows)
}

// admit makes the file a partition of the dataset, as validate does.
func (s *env) admit(path string, rows int) events.Envelope {
	s.t.Helper()
	return s.admitAs(path, rows, 0)
}

// admitAs is admit for an upload with this place among all.
func (s *env) admitAs(path string, rows, sequence int) events.Envelope {
	s.t.Helper()
	ctx := functiontest.Context(s.t)
	profile, err := table.ProfileFile(ctx, path)
	must(s.t, err)
	b, err := profile.MarshalBinary()
	must(s.t, err)
	measured, err := s.Artifacts.PutBytes(ctx, b, ".profile")
	must(s.t, err)
	data, err := s.Artifacts.PutFile(ctx, path, ".parquet", false)
	must(s.t, err)
	added := events.DatasetPartition{
		Object: events.Object{Key: fmt.Sprintf("flights/%d.parquet", len(s.snapshot))}, Data: data, Rows: int64(rows), Profile: measured, Sequence: sequence,
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

func (s *env) request(d events.TrainingRequested) events.Envelope {
	s.t.Helper()
	return s.Announce(s.t, "flights", "gateway", d)[0]
}

// await waits for an event of the type that the event led to.
func await[T events.Data](s *env, ok func(T) bool) events.Event[T] {
	s.t.Helper()
	var zero T
	e := s.WaitFor(s.t, "flights", zero.EventType(), func(e events.Envelope) bool {
		return ok == nil || ok(functiontest.Data[T](s.t, e))
	})
	return events.Event[T]{Header: e.Header, Data: functiontest.Data[T](s.t, e)}
}

// count counts the pipeline's events of the type.
func count[T events.Data](s *env) int {
	s.t.Helper()
	var zero T
	return len(s.Events(s.t, "flights", zero.EventType()))
}

// settled waits until the function has handled the event, and gives what it emitted.
func (s *env) settled(e events.Envelope) []events.Envelope {
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
	deadline, tick := time.After(30*time.Second), time.Tick(5*time.Millisecond)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 30 s", what)
		case <-tick:
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s *env) text(ref events.Ref) string {
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

// gated is a trainer that leaves a mark when it runs and waits for the gate.
func gated(t *testing.T) (script, trace string, open func()) {
	t.Helper()
	dir := t.TempDir()
	trace, gate := filepath.Join(dir, "trace"), filepath.Join(dir, "gate")
	script = `echo run >> ` + trace + `; until test -e ` + gate + `; do sleep 0.01; done; cp model.onnx "$MILLRACE_OUTPUT/"`
	return script, trace, func() { must(t, os.WriteFile(gate, nil, 0o600)) }
}
