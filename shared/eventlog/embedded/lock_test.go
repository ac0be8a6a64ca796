package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"millrace.dev/shared/eventlog/embedded"
)

// TestLock starts a server over a folder that another process has: for good,
// or for the moment in which it dies.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	held, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := embedded.Start(ctx, embedded.Options{Dir: dir}); !errors.Is(err, embedded.ErrInUse) {
		t.Fatalf("beside another one: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { held.Close() })
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
