package artifact_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace.dev/shared/artifact"
)

// TestDiskFull puts more than fits on a small file system.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("millrace", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := artifact.OpenStore(t.Context(), "file://"+dir, "")
	if err != nil {
		t.Fatal(err)
	}
	small := put(t, s, []byte("fits"), "")
	large := make([]byte, 1<<20)
	if _, err := rand.Read(large); err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), bytes.NewReader(large), ".bin")
	if !errors.Is(err, artifact.ErrDiskFull) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("Put = %v", err)
	}
	noScratch(t, s)
	var files []string
	err = filepath.WalkDir(filepath.Join(dir, "sha256"), func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 1 {
		t.Errorf("the store holds %v, %v", files, err)
	}
	if b, err := s.Bytes(t.Context(), small, 100); string(b) != "fits" || err != nil {
		t.Errorf("what fitted: %q, %v", b, err)
	}
	put(t, s, []byte("fits too"), "")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
