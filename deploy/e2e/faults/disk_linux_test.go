package faults

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace.dev/deploy/e2e/rig"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
)

// TestDiskFull fills the disk that holds everything, under a system at work.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("millrace", dir, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := rig.Start(t, rig.Options{Dir: filepath.Join(dir, "millrace"), Pipelines: []string{tumours.Pipeline{Name: "full"}.Write(t)}})
	w := s.Watch(t, "full")
	first, _ := upload(t, s, "full/data/a.parquet", rows(t, 1))
	rig.Await[events.ModelPromoted](t, w)
	s.Settle(t)

	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 96<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_, err := s.Upload(rig.Context(t), "full/data/b.parquet", file(t, rows(t, 2)), nil)
	refusal, ok := errors.AsType[*client.Error](err)
	if !ok || refusal.Status != http.StatusInsufficientStorage || !strings.Contains(refusal.Error(), "free some space") {
		t.Errorf("an upload to a full disk is answered: %v", err)
	}
	err = filepath.WalkDir(filepath.Join(s.Dir, "artifacts", "tmp"), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && filepath.Ext(path) != ".lock" { // the lock of the living
			t.Errorf("%s was left", path)
		}
		return err
	})
	must(t, err)
	// A small event finds the log itself full.
	_, err = s.Retrain(rig.Context(t), "full", events.TrainingRequested{By: "test", Reason: strings.Repeat("a long reason ", 20000)})
	if refusal, ok = errors.AsType[*client.Error](err); !ok || refusal.Status != http.StatusInsufficientStorage || !strings.Contains(refusal.Error(), "free some space") {
		t.Errorf("a request to a full log is answered: %v", err)
	}
	must(t, os.Remove(ballast))

	second, _ := upload(t, s, "full/data/b.parquet", rows(t, 2))
	rig.Await[events.DatasetValidated](t, w)
	s.Settle(t)
	s.Stop(t)
	sound(t, s.LogDir, []string{first, second})
}
