package sidecar_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/order"
	"millrace.dev/functions/train-launcher/outcome"
	"millrace.dev/functions/train-launcher/runner"
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

// scene is a run that was started, and the folder of its pod.
type scene struct {
	*functiontest.Bench
	t      *testing.T
	loaded *config.Loaded
	start  events.Envelope
	ref    events.Ref
	folder runner.Folder
}

// newScene starts a run of which data is the train part; bytes that are nil are lost.
func newScene(t *testing.T, data []byte) *scene {
	t.Helper()
	s := &scene{Bench: functiontest.New(t), t: t, folder: runner.Folder(t.TempDir())}
	s.loaded = s.ConfigureYAML(t, pipelineYAML)
	part := events.Ref{URL: "sha256/" + strings.Repeat("0", 64), Digest: "sha256:" + strings.Repeat("0", 64), Size: 3}
	if data != nil {
		part = s.put(data, ".parquet")
	}
	s.start = s.Announce(t, "flights", "train-launcher", events.TrainingStarted{
		Run: "r1", Key: "k1", Snapshot: "s1", Train: part, Holdout: part, Config: s.loaded.Digest, Runtime: "job",
	})[0]
	text, err := json.Marshal(order.Order{
		Pipeline: "flights", Started: s.start.Header, Data: []events.File{{Name: "part-00000.parquet", Ref: part}},
		Job: runner.Job{Run: "r1", Command: []string{"train"}, Params: []byte("{}"), Pipeline: s.loaded.Pipeline.JSON(), Timeout: time.Minute},
	})
	must(t, err)
	s.ref = s.put(text, ".json")
	return s
}

func (s *scene) put(b []byte, suffix string) events.Ref {
	s.t.Helper()
	ref, err := s.Artifacts.PutBytes(functiontest.Context(s.t), b, suffix)
	must(s.t, err)
	return ref
}

// serve runs a sidecar until stop, which gives its error if it has another
// than that it was to stop.
func (s *scene) serve(second bool) (stop func() error) {
	ctx, cancel := context.WithCancel(functiontest.Context(s.t))
	done := make(chan error, 1)
	c := sidecar.Sidecar{Artifacts: s.Artifacts, Log: s.Log, Logger: s.Logger, Order: s.ref, Folder: s.folder, Second: second}
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
func (s *scene) leaves(model bool, r runner.Result) {
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

func (s *scene) until(what string, ok func() bool) {
	s.t.Helper()
	deadline, look := time.After(30*time.Second), time.Tick(5*time.Millisecond)
	for !ok() {
		select {
		case <-deadline:
			s.t.Fatalf("%s: not within 30 s", what)
		case <-look:
		}
	}
}

// ends are the events that tell of a run's end.
func (s *scene) ends() []events.Envelope {
	s.t.Helper()
	return s.Events(s.t, "flights", events.TrainingCompleted{}.EventType(), events.TrainingFailed{}.EventType())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A sidecar that is killed at any point begins again, and what is told is told once.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, []byte("parquet"))
	stop := s.serve(false)
	s.until("the job is there", s.folder.HasJob)
	must(t, stop())
	stop = s.serve(false)
	s.leaves(true, runner.Result{OK: true, Attempts: 1, Seconds: 2})
	s.until("the end is told", s.folder.Told)
	must(t, stop())
	must(t, os.Remove(filepath.Join(string(s.folder), "told"))) // killed just before
	stop = s.serve(false)
	s.until("the end is told again", s.folder.Told)
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
	s := newScene(t, nil)
	stop := s.serve(false)
	t.Cleanup(func() { must(t, stop()) })
	s.until("the end is told", s.folder.Told)
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
			s := newScene(t, []byte("parquet"))
			stop := s.serve(true)
			t.Cleanup(func() { must(t, stop()) })
			s.leaves(c.result.OK, c.result)
			s.until("the runner may go", s.folder.Told)
			if got := s.ends(); len(got) != c.ends {
				t.Errorf("%d ends", len(got))
			}
		})
	}
}

// A result that has come when the pod ends is told; without one the last lines
// are kept for who tells why.
func TestPodEnds(t *testing.T) {
	t.Parallel()
	t.Run("with a result", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, []byte("parquet"))
		stop := s.serve(false)
		s.until("the job is there", s.folder.HasJob)
		s.leaves(true, runner.Result{OK: true})
		done := make(chan error, 1)
		go func() { done <- stop() }()
		s.until("the end is told", func() bool { return len(s.ends()) == 1 && s.folder.Told() })
		must(t, <-done)
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, []byte("parquet"))
		stop := s.serve(false)
		s.until("the job is there", s.folder.HasJob)
		must(t, os.WriteFile(s.folder.Log(), []byte("first\nlast\n"), 0o600))
		must(t, stop())
		tails, err := outcome.OpenTails(functiontest.Context(t), s.Log)
		must(t, err)
		tail, err := tails.Get(functiontest.Context(t), "flights", "r1")
		must(t, err)
		if tail != "first\nlast" || len(s.ends()) != 0 {
			t.Errorf("the last lines are %q, %d ends", tail, len(s.ends()))
		}
	})
}
