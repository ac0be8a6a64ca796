package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
)

// TestDiskFull fills the disk under a log that is in use. What was
// acknowledged stays, what cannot be is answered with a sentence, and the log
// continues by itself once there is space.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("millrace", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: filepath.Join(dir, "log"), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l, err := eventlog.Open(t.Context(), s.Conn(), eventlog.Options{Degraded: s.Trouble})
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	say := func(n int, within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		done, err := l.Append(ctx, eventlog.Commit{
			Pipeline: "flights", Function: "gateway", Cause: events.Cause(fmt.Sprint(n)),
			Data: []events.Data{events.TrainingRequested{By: "test", Reason: fmt.Sprintf("%0100000d", n)}},
		})
		if err == nil {
			acknowledged = append(acknowledged, done.Events[0].ID)
		}
		return err
	}
	n := 0
	for ; n < 10; n++ {
		if err := say(n, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(ballast, make([]byte, 22<<20), 0o600); !errors.Is(err, syscall.ENOSPC) && err != nil {
		t.Fatal(err)
	}
	for ; err == nil; n++ {
		err = say(n, 30*time.Second)
	}
	if !errors.Is(err, eventlog.ErrDiskFull) || !strings.Contains(err.Error(), "free some space on the disk of "+dir) {
		t.Errorf("the answer is: %v", err)
	}
	if err := l.Ready(t.Context()); !errors.Is(err, eventlog.ErrDiskFull) {
		t.Errorf("ready: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); errors.Is(say(n, 10*time.Second), eventlog.ErrDiskFull); {
		if time.Now().After(deadline) {
			t.Fatal("there is space, and the log does not go on")
		}
		<-time.After(20 * time.Millisecond)
	}
	for range 10 {
		n++
		if err := say(n, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for e, err := range l.Read(t.Context(), eventlog.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.ID)
	}
	for _, id := range acknowledged {
		if !slices.Contains(got, id) {
			t.Errorf("the event %s was acknowledged and is not there", id)
		}
	}
	if len(got) > len(acknowledged)+1 {
		t.Errorf("%d events, %d acknowledged", len(got), len(acknowledged))
	}
}
