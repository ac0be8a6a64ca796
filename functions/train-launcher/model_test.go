package trainlauncher_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/events"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

func TestUploadBecomesModel(t *testing.T) {
	t.Parallel()
	s := newEnv(t, goodTrainer, options{})
	s.upload(0, 80)
	e := s.upload(80, 20)
	s.run()
	done := await[events.TrainingCompleted](s, nil)
	run := s.State(t, "flights").Run(done.Data.Run)
	start := await[events.TrainingStarted](s, nil)

	if start.Data.Trigger != "upload" || start.Data.Runtime != "process" || start.Data.Run != "r"+start.Data.Key[:12] {
		t.Errorf("the run began as %+v", start.Data)
	}
	if done.CausationID != start.ID || done.CorrelationID != start.CorrelationID {
		t.Errorf("the run's end does not lead back to its start: %s, %s", done.CausationID, done.CorrelationID)
	}
	if run.Status != state.RunCompleted || run.Version != 1 || run.Attempts != 1 {
		t.Errorf("the run is %+v", run)
	}
	if got := done.Data.Metrics; got["loss"] != 0.25 || got["auc"] != 0.75 || len(got) != 2 {
		t.Errorf("the metrics are %v", got)
	}
	if got := s.text(done.Data.Log); got != "training with --rate=0.1\n" {
		t.Errorf("the log is %q", got)
	}
	if got := s.text(done.Data.Model.Files[0].Ref); got != file(t, "model.onnx") || done.Data.Model.Digest != done.Data.Model.Files[0].Digest {
		t.Error("the model is another one")
	}
	if got := s.text(named(t, done.Data.Files, "params.json")); got != `{"rate":0.1}` {
		t.Errorf("the parameters are %s", got)
	}
	if c, err := config.FromJSON([]byte(s.text(named(t, done.Data.Files, "pipeline.json")))); err != nil || c.Name() != "flights" {
		t.Errorf("the pipeline is %v (%v)", c, err)
	}
	for _, f := range done.Data.Files {
		if f.Name == "link" {
			t.Error("a link was followed out of the output")
		}
	}
	// What the trainer saw is the train part and nothing of the hold-out.
	var seen int64
	for _, f := range done.Data.Files {
		if !strings.HasPrefix(f.Name, "data/") {
			continue
		}
		path, err := s.Artifacts.Path(functiontest.Context(t), f.Ref)
		must(t, err)
		_, rows, err := table.ReadSchema(path)
		must(t, err)
		seen += rows
	}
	holdout, err := s.Artifacts.Path(functiontest.Context(t), start.Data.Holdout)
	must(t, err)
	_, heldOut, err := table.ReadSchema(holdout)
	must(t, err)
	if total := run.TrainRows + run.HoldoutRows; seen != run.TrainRows || heldOut != run.HoldoutRows || heldOut != total/5 {
		t.Errorf("the trainer saw %d rows of %d, %d are held out", seen, total, heldOut)
	}
	var profile table.Profile
	must(t, profile.UnmarshalBinary([]byte(s.text(start.Data.Profile))))
	if profile.Rows != run.TrainRows {
		t.Errorf("the profile is of %d rows, not of the train part's %d", profile.Rows, run.TrainRows)
	}
	until(t, "the run's folder is gone", func() bool {
		return !exists(filepath.Join(s.Deps(t, trainlauncher.Name).Dir, "runs", "flights", run.Run))
	})
	s.settled(e)
}

func TestModelWithWeightsBeside(t *testing.T) {
	t.Parallel()
	s := newEnv(t, `cp external.onnx "$MILLRACE_OUTPUT/model.onnx"; cp external.data notes.txt "$MILLRACE_OUTPUT"`, options{})
	for _, name := range []string{"external.onnx", "external.data"} {
		must(t, os.WriteFile(filepath.Join(s.dir, name), []byte(file(t, name)), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(s.dir, "notes.txt"), []byte("notes"), 0o600))
	s.run()
	s.upload(0, 50)
	done := await[events.TrainingCompleted](s, nil).Data
	if len(done.Model.Files) != 2 || done.Model.Files[0].Name != "external.data" || done.Model.Files[1].Name != "model.onnx" || len(done.Files) != 1 {
		t.Errorf("the model is %+v, beside it %+v", done.Model, done.Files)
	}
	if done.Model.Digest != events.NewModel(done.Model.Files).Digest || done.Model.Digest == done.Model.Files[1].Digest {
		t.Errorf("the model's digest is %s", done.Model.Digest)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("CUDA_VISIBLE_DEVICES", "1")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for trainers")
	s := newEnv(t, `cp model.onnx "$MILLRACE_OUTPUT/"; env > "$MILLRACE_OUTPUT/env"; cat "$(dirname "$MILLRACE_OUTPUT")/job.json"; own`,
		options{train: `env: {OMP_NUM_THREADS: "2", TOKEN: {secret: db/token}}`})
	s.cfg.Secrets = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(s.cfg.Secrets, "db"), 0o700))
	must(t, os.WriteFile(filepath.Join(s.cfg.Secrets, "db", "token"), []byte("a-secret\n"), 0o600))
	own := filepath.Join(s.dir, ".venv", "bin", "own")
	must(t, os.MkdirAll(filepath.Dir(own), 0o700))
	must(t, os.WriteFile(own, []byte("#!/bin/sh\necho from the virtual environment\n"), 0o700))
	s.run()
	s.upload(0, 50)
	done := await[events.TrainingCompleted](s, nil).Data

	env := map[string]string{}
	for line := range strings.Lines(s.text(named(t, done.Files, "env"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	for name, want := range map[string]string{
		"HOME": "/home/ada", "LANG": "de_DE.UTF-8", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2", "TOKEN": "a-secret", "MILLRACE_RUN_ID": done.Run,
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if _, ok := env["AWS_SECRET_ACCESS_KEY"]; ok {
		t.Error("the trainer sees the launcher's credentials")
	}
	if !strings.HasPrefix(env["PATH"], filepath.Join(s.dir, ".venv", "bin")+":") {
		t.Errorf("PATH is %s", env["PATH"])
	}
	log := s.text(done.Log)
	if !strings.Contains(log, "from the virtual environment") || !strings.Contains(log, `"run":`) {
		t.Errorf("the log is %s", log)
	}
	for _, e := range s.Events(t, "flights") {
		if strings.Contains(string(e.Data), "a-secret") {
			t.Errorf("the secret stands in %s", e.Type)
		}
	}
	if strings.Contains(log, "a-secret") {
		t.Error("the secret stands in job.json")
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		window     string
		partitions int
		rows       int64 // of both parts
	}{
		{"window: {partitions: 2}", 2, 60},
		{"window: {span: 40h}", 2, 40},
		{"window: {span: 30h}", 1, 30},
		{"", 3, 90},
	} {
		t.Run(c.window, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, goodTrainer, options{data: c.window, train: "on: []"})
			s.run()
			for i := range 3 {
				s.upload(30*i, 30)
			}
			s.request(events.TrainingRequested{})
			got := await[events.TrainingStarted](s, nil).Data
			if got.Partitions != c.partitions || got.TrainRows+got.HoldoutRows != c.rows {
				t.Errorf("%d partitions with %d rows, want %d with %d", got.Partitions, got.TrainRows+got.HoldoutRows, c.partitions, c.rows)
			}
			await[events.TrainingCompleted](s, nil)
		})
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	s := newEnv(t, `echo '{"step": 7, "loss": 0.5}' >> "$MILLRACE_METRICS"; until test -e `+gate+`; do sleep 0.01; done; cp model.onnx "$MILLRACE_OUTPUT/"`, options{})
	s.run()
	s.upload(0, 50)
	got := await[events.TrainingProgressed](s, nil)
	if got.Data.Step != 7 || got.Data.Metrics["loss"] != 0.5 {
		t.Errorf("got %+v", got.Data)
	}
	must(t, os.WriteFile(gate, nil, 0o600))
	await[events.TrainingCompleted](s, nil)
}
