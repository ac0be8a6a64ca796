package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/events"
)

// TestKilled kills the real program at each stage of a chain, between the
// answer to an upload and the promotion that follows, and starts it again. What
// was answered takes effect, once: package checker holds the log against that.
// (Command crashtest does the same a thousand times, and inside of the stages.)
func TestKilled(t *testing.T) {
	program := env.Build(t)
	o := env.Options{
		Dir: t.TempDir(),
		Pipelines: []string{tumours.Pipeline{Name: "killed", Spec: map[string]string{
			// It takes long enough for the system to be killed meanwhile, and continues alone.
			"train": tumours.Train(`sleep 0.3; cp "$0.onnx" "$MILLRACE_OUTPUT/model.onnx"`, "timeout: 2m"),
		}}.Write(t)},
	}
	var promised []string
	uploads := 0
	upload := func(p *env.Process) {
		t.Helper()
		uploads++
		u := p.Put(t, fmt.Sprintf("killed/data/%d.parquet", uploads), tumours.Draw(t, 200, uint64(uploads)).Parquet(t))
		promised = append(promised, u.Event)
	}
	for _, at := range []events.Data{
		nil, // at once
		events.PartitionIngested{}, events.DatasetValidated{}, events.TrainingStarted{}, events.TrainingCompleted{}, events.ModelApproved{}, events.ModelPromoted{},
		nil,
	} {
		p := env.Launch(t, program, o)
		w := p.Watch(t, "killed")
		upload(p)
		if at != nil {
			w.Next(t, at.EventType(), func(e events.Envelope) bool { return e.Type == at.EventType() })
		}
		p.Kill(t)
	}

	p := env.Launch(t, program, o)
	t.Logf("ready after %s, over the log of %d kills", p.Ready.Round(time.Millisecond), uploads)
	upload(p)
	p.Settle(t)
	state := p.Pipeline(t, "killed")
	if len(state.Dataset.Partitions) != uploads {
		t.Errorf("the dataset has %d of %d uploads", len(state.Dataset.Partitions), uploads)
	}
	newest := state.Model(len(state.Models))
	if newest == nil || newest.Snapshot != state.Dataset.Snapshot {
		t.Error("no model of the whole dataset came of it")
	} else if state.Route.Champion != newest.Version {
		t.Errorf("v%d is the newest, and the champion is v%d", newest.Version, state.Route.Champion)
	}
	c := calls(p.System, "killed")
	if got := c.served(t); got != state.Route.Champion {
		t.Errorf("v%d answers, and the champion is v%d", got, state.Route.Champion)
	}
	c.logged(t, 1)
	p.Settle(t)
	t.Logf("%d MB resident after %d models", p.RSS()>>20, len(state.Models))
	p.Stop(t)
	held(t, p.System, checker.Expected{Quiet: true, Promised: promised})
	orphans, err := checker.Orphans(filepath.Clean(o.Dir))
	must(t, err)
	for _, v := range orphans {
		t.Errorf("broken promise: %s", v)
	}
}
