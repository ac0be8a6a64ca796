package artifact_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"millrace.dev/shared/artifact"
)

func TestScratchOfDeadAndLiving(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "tmp", "p1")
	if err := os.MkdirAll(dead, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dead + ".lock", filepath.Join(dead, "put123")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := open(t, "file://"+dir)
	living, err := first.TempDir("x")
	if err != nil {
		t.Fatal(err)
	}
	open(t, "file://"+dir)
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dead process's folder: %v", err)
	}
	if _, err := os.Stat(living); err != nil {
		t.Errorf("the living process's folder: %v", err)
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				s, err := artifact.OpenStore(t.Context(), "file://"+dir, "")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.PutBytes(t.Context(), []byte("x"), ""); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
