package trainlauncher_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
)

func TestDriftWaitsForData(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{train: "on: []"})
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
	if s.State(t, "flights").PendingTraining != nil {
		t.Error("the training is still pending")
	}
	await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool { return d.Run == start.Data.Run })
}

// Drift is trained for at the end of a run, whether an upload that has to wait
// for more rows came before it or after it.
func TestDriftBesideAnUploadThatWaits(t *testing.T) {
	for _, order := range [][]string{{"upload", "drift"}, {"drift", "upload"}} {
		t.Run(strings.Join(order, " then "), func(t *testing.T) {
			t.Parallel()
			hold := filepath.Join(t.TempDir(), "hold")
			s := newEnv(t, `while test -e `+hold+`; do sleep 0.01; done; `+goodTrainer, options{train: "after: {rows: 100000}"})
			s.run()
			s.upload(0, 50)
			s.request(events.TrainingRequested{})
			first := await[events.TrainingCompleted](s, nil)
			s.Announce(t, "flights", "promote", events.RolloutStarted{Version: 1, Strategy: "direct", Weights: []events.Weight{{Version: 1, Percent: 100}}, Reason: "first"})
			s.Announce(t, "flights", "promote", events.RolloutCompleted{Version: 1, Weights: []events.Weight{{Version: 1, Percent: 100}}, Reason: "first"})
			must(t, os.WriteFile(hold, nil, 0o600))
			s.request(events.TrainingRequested{Params: map[string]any{"rate": 0.2}})
			second := await[events.TrainingStarted](s, func(d events.TrainingStarted) bool { return d.Run != first.Data.Run })

			var causes []string
			for _, trigger := range order {
				var e events.Envelope
				if trigger == "upload" {
					e = s.upload(50, 50)
				} else {
					e = s.Announce(t, "flights", "drift-check", events.DriftDetected{DriftCheck: events.DriftCheck{Version: 1, Reason: "distance moved"}, Action: "retrain"})[0]
				}
				if got := functiontest.Data[events.TrainingSkipped](t, s.settled(e)[0]); !got.Waits {
					t.Errorf("%s does not wait: %+v", trigger, got)
				}
				causes = append(causes, e.ID)
			}
			if order[0] == "drift" {
				causes = causes[:1] // the upload was decided for the drift that waits
			}
			must(t, os.Remove(hold))
			start := await[events.TrainingStarted](s, func(d events.TrainingStarted) bool { return d.Run != first.Data.Run && d.Run != second.Data.Run })
			if start.Data.Trigger != "drift" || !slices.Equal(start.Data.Causes, causes) || start.Data.Snapshot != s.State(t, "flights").Dataset.Snapshot {
				t.Errorf("started %+v for %v, want drift, because of %v", start.Data, start.Data.Causes, causes)
			}
			if p := s.State(t, "flights").PendingTraining; p != nil {
				t.Errorf("still pending: %+v", p)
			}
			await[events.TrainingCompleted](s, func(d events.TrainingCompleted) bool { return d.Run == start.Data.Run })
		})
	}
}

// What comes during a run is trained on when it ends, a request too.
func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	script, trace, open := gated(t)
	s := newEnv(t, script, options{})
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
	s := newEnv(t, goodTrainer, options{})
	for i := range 12 {
		s.upload(20*i, 20)
	}
	s.run()
	done := await[events.TrainingCompleted](s, nil)
	if p := s.State(t, "flights"); p.Run(done.Data.Run).Snapshot != p.Dataset.Snapshot {
		t.Error("a snapshot was trained on that was not the newest any more")
	}

	script, trace, open := gated(t)
	s = newEnv(t, script, options{})
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
