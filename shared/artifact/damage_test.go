package artifact_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"millrace.dev/shared/artifact"
)

func TestCorruptFileIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, "file://"+dir)
	ref := put(t, s, []byte("good"), ".csv")
	file := filepath.Join(dir, ref.URL)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Bytes(t.Context(), ref, 100); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("Bytes = %q, %v", b, err)
	}
	// Another process has not checked the file yet.
	if _, err := open(t, "file://"+dir).Path(t.Context(), ref); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("Path = %v", err)
	}
}

func TestCorruptCopyIsFetchedAgain(t *testing.T) {
	url, cache := s3Bucket(t, "artifacts"), t.TempDir()
	first := open(t, url)
	ref := put(t, first, []byte("good"), ".csv")
	copied := filepath.Join(cache, ref.URL)
	if err := os.MkdirAll(filepath.Dir(copied), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, []byte("goo"), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := artifact.OpenStore(t.Context(), url, cache)
	if err != nil {
		t.Fatal(err)
	}
	path, err := second.Path(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); string(b) != "good" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
