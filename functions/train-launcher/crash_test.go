package trainlauncher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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
)

// childVariable makes the test's program a launcher of its own, to be killed.
const childVariable = "MILLRACE_TEST_LAUNCHER"

// A crash between the commit of training.started and the launch: the next start
// finds the run.
func TestStartedButNotLaunched(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{train: "on: []"})
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

// A runner that is killed takes its trainer along, and the launcher starts
// another one that counts the attempt.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	for retries, want := range map[int]string{1: "", 0: "the trainer's process disappeared, and its runner with it"} {
		t.Run(fmt.Sprintf("%d retries", retries), func(t *testing.T) {
			t.Parallel()
			script, trace, open := gated(t)
			s := newEnv(t, script, options{})
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

// A launcher is killed while a trainer works. The trainer continues, and another
// launcher collects its output.
func TestKilledLauncher(t *testing.T) {
	t.Parallel()
	for _, while := range []bool{true, false} {
		t.Run(fmt.Sprintf("the run ends before the next launcher starts: %v", while), func(t *testing.T) {
			t.Parallel()
			url, _ := functiontest.Servers(t, 1)
			script, trace, open := gated(t)
			s := newEnvOn(t, functiontest.NewOver(t, functiontest.Dial(t, url), 1), script, options{})
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
	return errors.New("the launcher was not killed")
}
