package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/millrace/scaffold"
	"millrace.dev/events"
)

// TestScaffold: the folders that init writes for a file of JSON lines and for a
// CSV are trained, judged and promoted at the first try, as they stand.
func TestScaffold(t *testing.T) {
	root, err := env.Root()
	must(t, err)
	examples := filepath.Join(root, "config", "examples")
	venv := filepath.Join(examples, ".venv")
	data := t.TempDir()
	var folders []string
	files := map[string]string{}
	for _, c := range []struct{ pipeline, example, file, label, trainer string }{
		{"growers", "wine", "wine/wines-1.jsonl", "grower", "sklearn"},
		{"patients", "diabetes", "diabetes/patients-1.csv", "target", "lightgbm"},
	} {
		script := exec.Command(filepath.Join(venv, "bin", "python"), filepath.Join(examples, c.example, "data.py"), "--out", data, "--parts", "2")
		if out, err := script.CombinedOutput(); err != nil {
			t.Fatalf("data of %s (make examples sets up Python): %v\n%s", c.example, err, out)
		}
		files[c.pipeline] = filepath.Join(data, c.file)
		read, err := scaffold.Read(env.Context(t), files[c.pipeline], t.TempDir())
		must(t, err)
		trainer, ok := scaffold.TrainerOf(c.trainer)
		if !ok {
			t.Fatalf("there is no trainer %s", c.trainer)
		}
		design, err := scaffold.New(c.pipeline, read, c.label, "", trainer)
		must(t, err)
		folder := filepath.Join(t.TempDir(), c.pipeline)
		must(t, design.Write(folder))
		must(t, os.Symlink(venv, filepath.Join(folder, ".venv")))
		folders = append(folders, folder)
	}
	s := env.Start(t, env.Options{Pipelines: folders})
	for pipeline, file := range files {
		w := s.Watch(t, pipeline)
		content, err := os.ReadFile(file)
		must(t, err)
		s.Put(t, pipeline+"/"+filepath.Base(file), content)
		if promoted := env.Await[events.ModelPromoted](t, w); promoted.Data.Version != 1 {
			t.Errorf("%s: version %d is promoted", pipeline, promoted.Data.Version)
		}
	}
	s.Settle(t)
	sound(t, s)
}
