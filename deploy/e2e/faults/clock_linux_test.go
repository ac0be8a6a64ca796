package faults

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
)

// TestClockSetBack sets the clock back, again and again, under the real program
// at work: while a model is trained, while it is a canary, and between two
// lives. It costs time at most; and a time of the past, which may have come
// twice, means the same wherever it is asked for.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	program := env.BuildWith(t, "-overlay", clockOverlay(t))
	clock := filepath.Join(t.TempDir(), "clock")
	setClock(t, clock, 0)
	o := env.Options{Dir: t.TempDir(), Env: []string{"MILLRACE_TEST_CLOCK=" + clock}, Pipelines: []string{tumours.Pipeline{Name: "clock", Spec: map[string]string{
		"train":   tumours.Train(`sleep 0.3; cp "$0.onnx" "$MILLRACE_OUTPUT/model.onnx"`, "timeout: 2m"),
		"promote": "{strategy: canary, steps: [50, 100], advance: {requests: 10, within: 1h}}",
	}}.Write(t)}}
	var promised []string
	send := func(s *env.System, key string, seed uint64) {
		event, _ := upload(t, s, key, rows(t, seed))
		promised = append(promised, event)
	}

	p := env.Launch(t, program, o)
	w := p.Watch(t, "clock")
	send(p.System, "clock/data/a.parquet", 1)
	env.Await[events.ModelPromoted](t, w)
	send(p.System, "clock/data/b.parquet", 2)
	env.Await[events.TrainingStarted](t, w)
	setClock(t, clock, -time.Hour)
	env.Await[events.RolloutStarted](t, w)
	setClock(t, clock, -3*time.Hour)
	predict(t, p.System, "clock", 2)
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 })
	p.Settle(t)
	p.Stop(t)

	setClock(t, clock, -4*time.Hour)
	p = env.Launch(t, program, o)
	w = p.Watch(t, "clock")
	send(p.System, "clock/data/c.parquet", 3)
	env.Await[events.DatasetValidated](t, w)
	p.Settle(t)
	timesAsked(t, p.System, "clock", 3)
	p.Stop(t)
	sound(t, p.LogDir, promised)
}

// clockOverlay puts testdata/clock.go into the command.
func clockOverlay(t testing.TB) (file string) {
	t.Helper()
	root, err := env.Root()
	must(t, err)
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, "deploy", "millrace", "set_clock.go"): filepath.Join(root, "deploy", "e2e", "faults", "testdata", "clock.go"),
	}})
	must(t, err)
	file = filepath.Join(t.TempDir(), "overlay.json")
	must(t, os.WriteFile(file, b, 0o600))
	return file
}

// setClock sets the clock of a program, at once, to be ahead of the machine's.
func setClock(t testing.TB, file string, ahead time.Duration) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	_, err = f.Write(binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second)))) //nolint:gosec // its bits
	must(t, err)
	must(t, f.Close())
}

// predict asks for predictions until the version is the champion.
func predict(t testing.TB, s *env.System, pipeline string, version int) {
	t.Helper()
	asked := tumours.Draw(t, 1, 9).Features(t, 0, 1)
	eventually(t, fmt.Sprintf("v%d as the champion", version), func() error {
		if _, err := s.Predict(env.Context(t), pipeline, client.Ask{}, asked); err != nil {
			return err
		}
		if champion := s.Pipeline(t, pipeline).Route.Champion; champion != version {
			return fmt.Errorf("it is v%d", champion)
		}
		return nil
	})
}

// timesAsked asks for the pipeline as it was at each time that is in its
// log: it must be as it was at the last event that is not later.
func timesAsked(t testing.TB, s *env.System, pipeline string, jumps int) {
	t.Helper()
	var log []events.Envelope
	last, err := s.LastSequence(env.Context(t))
	must(t, err)
	for e, err := range s.Follow(env.Context(t), client.Query{From: 1}) {
		must(t, err)
		if e.Pipeline == pipeline {
			log = append(log, e)
		}
		if e.Sequence >= last {
			break
		}
	}
	back := 0
	for i, e := range log {
		if i > 0 && e.Time.Before(log[i-1].Time.Add(-time.Minute)) {
			back++
		}
		upTo := uint64(0)
		for _, other := range log {
			if !other.Time.After(e.Time) {
				upTo = other.Sequence
			}
		}
		path := "/api/pipelines/" + pipeline
		at := s.Ask(t, http.MethodGet, path+"?at="+url.QueryEscape(e.Time.Format(time.RFC3339Nano)), nil)
		seq := s.Ask(t, http.MethodGet, fmt.Sprintf("%s?seq=%d", path, upTo), nil)
		if at != seq {
			t.Errorf("at the time of event %d, %s, it is\n%s\nand at event %d it is\n%s", e.Sequence, e.Time, at.Text, upTo, seq.Text)
		}
	}
	if back < jumps {
		t.Errorf("in the log the clock goes back %d times, and it was set back %d times", back, jumps)
	}
}
