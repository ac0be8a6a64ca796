package faults

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// TestDiskFull fills the disk that holds everything, under a system at work.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	s := env.Start(t, env.Options{Dir: filepath.Join(dir, "millrace"), Pipelines: []string{tumours.Pipeline{Name: "full"}.Write(t)}})
	w := s.Watch(t, "full")
	first, _ := upload(t, s, "full/data/a.parquet", rows(t, 1))
	env.Await[events.ModelPromoted](t, w)
	s.Settle(t)

	ballast := fill(t, dir)
	_, err := s.Upload(env.Context(t), "full/data/b.parquet", file(t, rows(t, 2)), nil)
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
	_, err = s.Retrain(env.Context(t), "full", events.TrainingRequested{By: "test", Reason: strings.Repeat("a long reason ", 20000)})
	if refusal, ok = errors.AsType[*client.Error](err); !ok || refusal.Status != http.StatusInsufficientStorage || !strings.Contains(refusal.Error(), "free some space") {
		t.Errorf("a request to a full log is answered: %v", err)
	}
	must(t, os.Remove(ballast))

	second, _ := upload(t, s, "full/data/b.parquet", rows(t, 2))
	env.Await[events.DatasetValidated](t, w)
	s.Settle(t)
	s.Stop(t)
	sound(t, s.LogDir, []string{first, second})
}

// smallDisk is a folder with a small file system of its own.
func smallDisk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("millrace", dir, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill fills the disk with a file.
func fill(t testing.TB, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 96<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return ballast
}

// TestServersDiskFull fills the disk of a NATS server that is a process of its
// own, under a system at work. The server reports it nowhere; Millrace says what
// it sees, and continues once the server was started again with free space.
func TestServersDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	n := &node{Name: "n1", Port: freePorts(t, 1)[0], Dir: filepath.Join(dir, "nats")}
	n.start(t)
	t.Cleanup(func() { n.end(t, syscall.SIGKILL) })
	url := fmt.Sprintf("nats://127.0.0.1:%d", n.Port)
	awaitJetStream(t, url)
	s := env.Start(t, env.Options{Pipelines: []string{tumours.Pipeline{Name: "remote"}.Write(t)}, Change: func(o *up.Options) { o.NATS = url }})
	w := s.Watch(t, "remote")
	first, _ := upload(t, s, "remote/data/a.parquet", rows(t, 1))
	env.Await[events.ModelPromoted](t, w)
	s.Settle(t)

	ballast := fill(t, dir)
	var second string
	var sender sync.WaitGroup
	sender.Go(func() { second, _ = upload(t, s, "remote/data/b.parquet", rows(t, 2)) })
	eventually(t, "what the status says", func() error {
		return troubled(t, s, "the event log takes no events", url, "free some space and restart the server")
	})
	_, err := s.Retrain(env.Context(t), "remote", events.TrainingRequested{By: "test"})
	// A single small event may still fit into what the server has allocated; a batch does not.
	refusal, ok := errors.AsType[*client.Error](err)
	if err != nil && (!ok || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(refusal.Error(), "free some space and restart the server")) {
		t.Errorf("a request is answered: %v", err)
	}
	must(t, os.Remove(ballast))
	n.end(t, syscall.SIGTERM)
	n.start(t)

	sender.Wait()
	env.Await[events.DatasetValidated](t, w)
	s.Settle(t)
	if err := troubled(t, s); err != nil {
		t.Errorf("when all is well: %v", err)
	}
	s.Stop(t)
	n.end(t, syscall.SIGTERM)
	sound(t, n.Dir, []string{first, second})
}

// troubled reports whether the status says of the event log what it should: all
// of the words, or nothing.
func troubled(t testing.TB, s *env.System, words ...string) error {
	t.Helper()
	var status api.Status
	if err := s.Get(env.Context(t), &status, nil, "api/status"); err != nil {
		return err
	}
	for _, word := range words {
		if !strings.Contains(status.Log.Degraded, word) {
			return fmt.Errorf("it says %q, without %q", status.Log.Degraded, word)
		}
	}
	if len(words) == 0 && status.Log.Degraded != "" {
		return fmt.Errorf("it says %q", status.Log.Degraded)
	}
	return nil
}
