package artifact_test

import (
	"errors"
	"os"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
)

func TestOverlay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := artifact.OpenStore(ctx, "file://"+t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	below, err := s.PutBytes(ctx, []byte("below"), ".txt")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := s.Overlay(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer overlay.Close()
	own, err := overlay.PutBytes(ctx, []byte("own"), ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[events.Ref]string{below: "below", own: "own"} {
		if got, err := overlay.Bytes(ctx, ref, 10); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		path, err := overlay.Path(ctx, ref)
		if got, _ := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q at %s, %v; want %q", got, path, err, want)
		}
	}
	if _, err := s.Bytes(ctx, own, 10); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("what was put into the overlay is in the store: %v", err)
	}
}
