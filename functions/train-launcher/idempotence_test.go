package trainlauncher_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/shared/function/functiontest"
)

func TestDeliveredTwice(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{})
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
	s := newEnv(t, script, options{})
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
	s := newEnv(t, goodTrainer, options{})
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
	s := newEnv(t, `test -e `+installed+` || exit 1; cp model.onnx "$MILLRACE_OUTPUT/"`, options{})
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
