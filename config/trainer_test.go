package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func trainerPaths(t *testing.T, dir string) ([]string, string) {
	t.Helper()
	files, digest, err := TrainerFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{}
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return paths, digest
}

func TestTrainerFilesAreTheCode(t *testing.T) {
	t.Parallel()
	repo := folder(t, map[string]string{
		".git/HEAD":                   "ref: refs/heads/main\n",
		".gitignore":                  "*.log\n/flights/build/\n",
		"other.py":                    "",
		"flights/pipeline.yaml":       minimal,
		"flights/train.py":            "print(1)\n",
		"flights/lib/model.py":        "",
		"flights/lib/.gitignore":      "scratch\n",
		"flights/lib/scratch":         "",
		"flights/.gitignore":          "*.parquet\n!keep.parquet\ndata/\n",
		"flights/a.parquet":           "",
		"flights/keep.parquet":        "",
		"flights/data/x.csv":          "",
		"flights/build/x":             "",
		"flights/run.log":             "",
		"flights/.venv/bin/python":    "",
		"flights/__pycache__/m.pyc":   "",
		"flights/prepare.sql":         "",
		"flights/lib/build/is-code":   "",
		"flights/requirements.txt":    "",
		"flights/.DS_Store":           "",
		"flights/lib/__pycache__/a.x": "",
	})
	dir := filepath.Join(repo, "flights")
	if err := os.Symlink("/nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		".gitignore", "keep.parquet", "lib/.gitignore", "lib/build/is-code", "lib/model.py",
		"link", "prepare.sql", "requirements.txt", "train.py",
	}
	paths, digest := trainerPaths(t, dir)
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Fatalf("files differ (-want +got)\n%s", diff)
	}

	write := func(name, content string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, d := trainerPaths(t, dir)
		return d
	}
	if write("pipeline.yaml", "# a comment\n"+minimal) != digest || write("new.log", "x") != digest {
		t.Error("what is not code changes the digest")
	}
	if write("train.py", "print(2)\n") == digest {
		t.Error("another trainer has the same digest")
	}
	if write("train.py", "print(1)\n") != digest {
		t.Error("the first trainer has another digest")
	}
	if err := os.Rename(filepath.Join(dir, "train.py"), filepath.Join(dir, "fit.py")); err != nil {
		t.Fatal(err)
	}
	if _, d := trainerPaths(t, dir); d == digest {
		t.Error("another name has the same digest")
	}
}

func TestArgv(t *testing.T) {
	t.Parallel()
	train := &Train{Command: []string{"python", "--rate={{params.rate}}", "{{ params.name }}", "{{params.list}}", "{{params.none}}", "a{{params.rate}}b{{params.on}}"}}
	got := train.Argv(map[string]any{"rate": 0.1, "name": "a b; c", "list": []any{int64(1), "x"}, "on": true})
	want := []string{"python", "--rate=0.1", "a b; c", `[1,"x"]`, "{{params.none}}", "a0.1btrue"}
	if !slices.Equal(got, want) {
		t.Errorf("argv is %q, want %q", got, want)
	}
}
