package trainlauncher_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

func TestTrainingFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		train        string
		change       func(*env)
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
			change: func(s *env) {
				must(s.t, os.WriteFile(filepath.Join(s.dir, "other-inputs.onnx"), []byte(file(s.t, "other-inputs.onnx")), 0o600))
			},
			reason: `the model's inputs are not those of the pipeline: input carrier is int64; a feature of type string goes in as string; the feature hour has no input`,
			hint:   "one input of shape [N, 1] for each of model.features",
		},
		{
			name: "weights that are not there", script: `cp external.onnx "$MILLRACE_OUTPUT/model.onnx"`,
			change: func(s *env) {
				must(s.t, os.WriteFile(filepath.Join(s.dir, "external.onnx"), []byte(file(s.t, "external.onnx")), 0o600))
			},
			reason: `the model keeps weights in "external.data", which is not a file beside it`,
		},
		{name: "it hangs", script: "exec sleep 1000", train: "timeout: 300ms", reason: "the trainer took longer than the 300ms of train.timeout"},
		{
			name: "a secret that is not there", train: "env: {TOKEN: {secret: db/token}}",
			change: func(s *env) { s.cfg.Secrets = s.t.TempDir() },
			reason: "train.env: secret db/token is not in ", hint: "MILLRACE_SECRETS",
		},
		{
			name: "a runner that ends at once", change: func(s *env) {
				s.cfg.Runner = filepath.Join(s.t.TempDir(), "runner")
				must(s.t, os.WriteFile(s.cfg.Runner, []byte("#!/bin/sh\necho the disk is full >&2\nexit 1\n"), 0o700))
			},
			reason: "the runner ended 5 times and left no result: the disk is full", hint: "the disk may be full",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, c.script, options{train: c.train})
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

func TestNothingToSplit(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{})
	s.run()
	answer := s.settled(s.upload(0, 1))
	got := functiontest.Data[events.TrainingSkipped](t, answer[0])
	if !strings.HasPrefix(got.Reason, "split the data: ") || got.Waits {
		t.Errorf("got %+v", got)
	}
}

func TestFolderIsGone(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{})
	must(t, os.RemoveAll(s.dir))
	s.run()
	answer := s.settled(s.upload(0, 50))
	if got := functiontest.Data[events.TrainingSkipped](t, answer[0]); !strings.HasPrefix(got.Reason, "the trainer is not on this machine: ") {
		t.Errorf("got %+v", got)
	}
}

func TestTrainPartIsGone(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{train: "on: []"})
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

func TestNewWantsARunner(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Runner, cfg.Poll = filepath.Join(t.TempDir(), "nowhere"), 0
	if _, err := trainlauncher.New(cfg, function.Deps{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "MILLRACE_TRAIN_POLL is 0s; it must be more than 0") {
		t.Errorf("got %v", err)
	}
	cfg.Poll = time.Second
	if _, err := trainlauncher.New(cfg, function.Deps{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "nowhere is not a program") {
		t.Errorf("got %v", err)
	}
}
