package artifact_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
)

func TestBucket(t *testing.T) {
	full := s3Bucket(t, "landing")
	name, options, _ := strings.Cut(full, "?")
	// The artifact store is the writer here: its keys are objects like any other.
	s := open(t, full)
	ref := put(t, s, []byte("a,b\n"), ".csv")
	put(t, s, []byte("c,d\n"), ".csv")

	b, err := artifact.OpenBucket(t.Context(), name, options)
	if err != nil {
		t.Fatal(err)
	}
	var found []events.Object
	if err := b.List(t.Context(), "sha256/", func(o events.Object) bool { found = append(found, o); return true }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Bucket != name || found[0].Key > found[1].Key || found[0].Size != 4 || found[0].ETag == "" {
		t.Errorf("List gave %+v", found)
	}
	r, size, err := b.Open(t.Context(), ref.URL)
	if err != nil || size != 4 {
		t.Fatalf("Open: size %d, %v", size, err)
	}
	if got, err := io.ReadAll(r); string(got) != "a,b\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	other, err := artifact.OpenBucket(t.Context(), name, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Open(t.Context(), "no/such.csv"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("Open of what is not there: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}
