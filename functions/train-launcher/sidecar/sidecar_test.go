package sidecar_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/runspec"
	"millrace.dev/functions/train-launcher/sidecar"
	"millrace.dev/shared/function/functiontest"
)

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
  model: {task: binary_classification, label: late, features: [carrier, hour, distance]}
  train: {command: [train]}
`

// env is a run that was started, and the folder of its pod.
type env struct {
	*functiontest.Env
	t      *testing.T
	loaded *config.Loaded
	start  events.Envelope
	ref    events.Ref
	folder runner.Folder
}

// newEnv starts a run whose train part is data; nil stands for a lost file.
func newEnv(t *testing.T, data []byte) *env {
	t.Helper()
	s := &env{Env: functiontest.New(t), t: t, folder: runner.Folder(t.TempDir())}
	s.loaded = s.ConfigureYAML(t, pipelineYAML)
	part := events.Ref{URL: "sha256/" + strings.Repeat("0", 64), Digest: "sha256:" + strings.Repeat("0", 64), Size: 3}
	if data != nil {
		part = s.put(data, ".parquet")
	}
	s.start = s.Announce(t, "flights", "train-launcher", events.TrainingStarted{
		Run: "r1", Key: "k1", Snapshot: "s1", Train: part, Holdout: part, Config: s.loaded.Digest, Runtime: "job",
	})[0]
	text, err := json.Marshal(runspec.Spec{
		Pipeline: "flights", Started: s.start.Header, Data: []events.File{{Name: "part-00000.parquet", Ref: part}},
		Job: runner.Job{Run: "r1", Command: []string{"train"}, Params: []byte("{}"), Pipeline: s.loaded.Pipeline.JSON(), Timeout: time.Minute},
	})
	must(t, err)
	s.ref = s.put(text, ".json")
	return s
}

func (s *env) put(b []byte, suffix string) events.Ref {
	s.t.Helper()
	ref, err := s.Artifacts.PutBytes(functiontest.Context(s.t), b, suffix)
	must(s.t, err)
	return ref
}

// serve runs a sidecar until stop, which gives its error if it has another
// than that it was to stop.
func (s *env) serve(second bool) (stop func() error) {
	ctx, cancel := context.WithCancel(functiontest.Context(s.t))
	done := make(chan error, 1)
	c := sidecar.Sidecar{Artifacts: s.Artifacts, Log: s.Log, Logger: s.Logger, Spec: s.ref, Folder: s.folder, Second: second}
	go func() { done <- c.Run(ctx) }()
	return func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}

// leaves is what a trainer leaves, with the result last.
func (s *env) leaves(model bool, r runner.Result) {
	s.t.Helper()
	must(s.t, os.MkdirAll(s.folder.Output(), 0o700))
	if model {
		b, err := os.ReadFile(filepath.Join("..", "testdata", "model.onnx"))
		must(s.t, err)
		must(s.t, os.WriteFile(filepath.Join(s.folder.Output(), "model.onnx"), b, 0o600))
	}
	must(s.t, os.WriteFile(s.folder.Log(), []byte("first\nlast\n"), 0o600))
	must(s.t, os.WriteFile(s.folder.Metrics(), []byte(`{"step": 7, "loss": 0.5}`+"\n"), 0o600))
	must(s.t, s.folder.Refuse(r))
}

func (s *env) until(what string, ok func() bool) {
	s.t.Helper()
	deadline, tick := time.After(30*time.Second), time.Tick(5*time.Millisecond)
	for !ok() {
		select {
		case <-deadline:
			s.t.Fatalf("%s: not within 30 s", what)
		case <-tick:
		}
	}
}

// ends are the events that report a run's end.
func (s *env) ends() []events.Envelope {
	s.t.Helper()
	return s.Events(s.t, "flights", events.TrainingCompleted{}.EventType(), events.TrainingFailed{}.EventType())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A sidecar that is killed at any point resumes, and emits each event once.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	s := newEnv(t, []byte("parquet"))
	stop := s.serve(false)
	s.until("the job is there", s.folder.HasJob)
	must(t, stop())
	stop = s.serve(false)
	s.leaves(true, runner.Result{OK: true, Attempts: 1, Seconds: 2})
	s.until("the end is reported", s.folder.Reported)
	must(t, stop())
	must(t, os.Remove(filepath.Join(string(s.folder), "told"))) // killed just before
	stop = s.serve(false)
	s.until("the end is reported again", s.folder.Reported)
	must(t, stop())
	must(t, s.serve(false)()) // killed after
	ends := s.ends()
	if len(ends) != 1 {
		t.Fatalf("%d ends", len(ends))
	}
	done := functiontest.Data[events.TrainingCompleted](t, ends[0])
	if ends[0].CausationID != s.start.ID || done.Metrics["loss"] != 0.5 || done.Attempts != 1 || done.Log.IsZero() {
		t.Errorf("%+v", done)
	}
}

// What is lost for good fails the run, and the runner never starts the trainer.
func TestDataIsLost(t *testing.T) {
	t.Parallel()
	s := newEnv(t, nil)
	stop := s.serve(false)
	t.Cleanup(func() { must(t, stop()) })
	s.until("the end is reported", s.folder.Reported)
	failed := functiontest.Data[events.TrainingFailed](t, s.ends()[0])
	if !strings.Contains(failed.Reason, "fetch the train part part-00000.parquet") || s.folder.HasJob() {
		t.Errorf("%+v", failed)
	}
}

// Of several pods the first one's model counts, and each one's failure.
func TestSecondPod(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		result runner.Result
		ends   int
	}{
		"ends well": {runner.Result{OK: true}, 0},
		"fails":     {runner.Result{Reason: "no luck"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, []byte("parquet"))
			stop := s.serve(true)
			t.Cleanup(func() { must(t, stop()) })
			s.leaves(c.result.OK, c.result)
			s.until("the runner may go", s.folder.Reported)
			if got := s.ends(); len(got) != c.ends {
				t.Errorf("%d ends", len(got))
			}
		})
	}
}

// A result that exists when the pod ends is emitted; without one the last lines
// are kept for who tells why.
func TestPodEnds(t *testing.T) {
	t.Parallel()
	t.Run("with a result", func(t *testing.T) {
		t.Parallel()
		s := newEnv(t, []byte("parquet"))
		stop := s.serve(false)
		s.until("the job is there", s.folder.HasJob)
		s.leaves(true, runner.Result{OK: true})
		done := make(chan error, 1)
		go func() { done <- stop() }()
		s.until("the end is reported", func() bool { return len(s.ends()) == 1 && s.folder.Reported() })
		must(t, <-done)
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		s := newEnv(t, []byte("parquet"))
		stop := s.serve(false)
		s.until("the job is there", s.folder.HasJob)
		must(t, os.WriteFile(s.folder.Log(), []byte("first\nlast\n"), 0o600))
		must(t, stop())
		tail, err := result.Tail(functiontest.Context(t), s.Log, "flights", "r1")
		must(t, err)
		if tail != "first\nlast" || len(s.ends()) != 0 {
			t.Errorf("the last lines are %q, %d ends", tail, len(s.ends()))
		}
	})
}

// What a trainer leaves in its folder never shows what the sidecar can read,
// and never prevents the run's end from being reported.
func TestTrainerSpoilsItsFolder(t *testing.T) {
	t.Parallel()
	const secret = "the-sidecar's-password"
	hidden := filepath.Join(t.TempDir(), "environ")
	must(t, os.WriteFile(hidden, []byte(secret), 0o600))
	instead := func(of string, place func(path string) error) func(runner.Folder) error {
		return func(f runner.Folder) error {
			path := filepath.Join(string(f), filepath.FromSlash(of))
			return errors.Join(os.RemoveAll(path), place(path))
		}
	}
	link := func(path string) error { return os.Symlink(hidden, path) }
	pipe := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	for name, c := range map[string]struct {
		spoil  func(runner.Folder) error
		reason string
	}{
		"log is a link":         {instead("log", link), "log in the run's folder is a symbolic link"},
		"log is a pipe":         {instead("log", pipe), "log in the run's folder is a named pipe"},
		"model is a link":       {instead("output/model.onnx", link), "left no model.onnx in MILLRACE_OUTPUT; output/model.onnx in the run's folder is a symbolic link"},
		"model is a pipe":       {instead("output/model.onnx", pipe), "output/model.onnx in the run's folder is a named pipe"},
		"result is a link":      {instead("result.json", link), "result.json in the run's folder is a symbolic link"},
		"result is a pipe":      {instead("result.json", pipe), "result.json in the run's folder is a named pipe"},
		"result is no JSON":     {instead("result.json", func(path string) error { return os.WriteFile(path, []byte(secret), 0o600) }), "result.json in the run's folder is not what was written there"},
		"output is a link":      {instead("output", func(path string) error { return os.Symlink(filepath.Dir(hidden), path) }), "output in the run's folder is not a folder any more"},
		"output is gone":        {instead("output", func(string) error { return nil }), "left no model.onnx"},
		"metrics are a pipe":    {instead("metrics.jsonl", pipe), ""},
		"metrics are a link":    {instead("metrics.jsonl", link), ""},
		"a link beside a model": {func(f runner.Folder) error { return link(filepath.Join(f.Output(), "more")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, []byte("parquet"))
			stop := s.serve(false)
			t.Cleanup(func() { must(t, stop()) })
			s.until("the job is there", s.folder.HasJob)
			must(t, os.MkdirAll(s.folder.Output(), 0o700))
			b, err := os.ReadFile(filepath.Join("..", "testdata", "model.onnx"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(s.folder.Output(), "model.onnx"), b, 0o600))
			must(t, os.WriteFile(s.folder.Log(), []byte("first\nlast\n"), 0o600))
			must(t, c.spoil(s.folder))
			must(t, s.folder.Refuse(runner.Result{OK: true, Attempts: 1})) // one that is there stays
			s.until("the end is reported", s.folder.Reported)
			end := s.ends()[0]
			if c.reason == "" {
				functiontest.Data[events.TrainingCompleted](t, end)
			} else if failed := functiontest.Data[events.TrainingFailed](t, end); !strings.Contains(failed.Reason, c.reason) || failed.Hint == "" {
				t.Errorf("%+v", failed)
			}
			if strings.Contains(string(end.Data), secret) || strings.Contains(string(end.Data), digestOf(secret)) {
				t.Errorf("the secret is in the event: %s", end.Data)
			}
		})
	}
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
