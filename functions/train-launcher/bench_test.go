package trainlauncher_test

import (
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
)

// BenchmarkRun is what a run costs beside its trainer, which copies a model:
// from a new snapshot of 10,000 more rows in the log to training.completed,
// with the decision, the split, the profile, the runner and two commits.
func BenchmarkRun(b *testing.B) {
	s := newEnv(b, `exec cp model.onnx "$MILLRACE_OUTPUT/"`, options{data: "window: {partitions: 1}"})
	s.cfg.Poll, s.cfg.Sweep = 250*time.Millisecond, 15*time.Second // as they are by default
	s.run()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		e := s.upload(10_000*i, 10_000)
		b.StartTimer()
		s.WaitFor(b, "flights", events.TrainingCompleted{}.EventType(), func(done events.Envelope) bool {
			run := s.State(b, "flights").Run(functiontest.Data[events.TrainingCompleted](b, done).Run)
			return run.Snapshot == functiontest.Data[events.DatasetValidated](b, e).Snapshot
		})
	}
}
