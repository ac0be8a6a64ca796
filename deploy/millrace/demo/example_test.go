package demo

import (
	"os"
	"path/filepath"
	"testing"

	"millrace.dev/config"
)

// What the program carries is a pipeline, and writing it again leaves the
// Python environment alone.
func TestWriteExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	python := filepath.Join(dir, ".venv", "python")
	if err := os.Mkdir(filepath.Dir(python), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(python, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeExamples(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"flights", "diabetes", "wine"} {
		if _, err := config.Load(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, file := range []string{"train.py", "data.py", "requirements.txt"} {
			if _, err := os.Stat(filepath.Join(dir, name, file)); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := os.Stat(python); err != nil {
		t.Errorf("the Python environment is gone: %v", err)
	}
}
