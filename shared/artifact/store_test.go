package artifact_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	_ "millrace.dev/shared/artifact/s3"
)

// stores are the kinds of stores that the conformance tests run on.
var stores = map[string]func(testing.TB) string{
	"file": func(t testing.TB) string { return "file://" + t.TempDir() },
	"sync": func(t testing.TB) string { return "file://" + t.TempDir() + "?create_dir=true&sync=always" },
	"mem":  func(testing.TB) string { return "mem://" },
	"s3":   func(t testing.TB) string { return s3Bucket(t, "artifacts") },
}

// s3Bucket serves an empty bucket over S3's protocol and returns its URL.
func s3Bucket(t testing.TB, name string) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(name); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(k, v)
	}
	return "s3://" + name + "?region=us-east-1&use_path_style=true&disable_https=true&endpoint=" + url.QueryEscape(srv.URL)
}

func open(t testing.TB, url string) *artifact.Store {
	t.Helper()
	s, err := artifact.OpenStore(t.Context(), url, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	for name, newURL := range stores {
		t.Run(name, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, *artifact.Store){
				"PutAndRead":      testPutAndRead,
				"SameBytesTwice":  testSameBytesTwice,
				"ManyAtOnce":      testManyAtOnce,
				"Empty":           testEmpty,
				"Large":           testLarge,
				"FailingReader":   testFailingReader,
				"Cancelled":       testCancelled,
				"NotFound":        testNotFound,
				"OtherReferences": testOtherReferences,
				"PutFile":         testPutFile,
				"Limit":           testLimit,
			} {
				t.Run(name, func(t *testing.T) { test(t, open(t, newURL(t))) })
			}
		})
	}
}

func put(t testing.TB, s *artifact.Store, b []byte, suffix string) events.Ref {
	t.Helper()
	ref, err := s.PutBytes(t.Context(), b, suffix)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func testPutAndRead(t *testing.T, s *artifact.Store) {
	want := []byte("a,b\n1,2\n")
	ref := put(t, s, want, ".csv")
	if err := ref.Validate(); err != nil {
		t.Error(err)
	}
	if ref.Size != 8 || !strings.HasSuffix(ref.URL, ".csv") {
		t.Errorf("reference is %+v", ref)
	}
	got, err := s.Bytes(t.Context(), ref, 100)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Bytes = %q, %v", got, err)
	}
	path, err := s.Path(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) || filepath.Ext(path) != ".csv" {
		t.Errorf("%s holds %q, %v", path, got, err)
	}
	if again, err := s.Path(t.Context(), ref); again != path || err != nil {
		t.Errorf("a second Path is %s, %v", again, err)
	}
}

func testSameBytesTwice(t *testing.T, s *artifact.Store) {
	if a, b := put(t, s, []byte("x"), ".bin"), put(t, s, []byte("x"), ".bin"); a != b {
		t.Errorf("%+v and %+v", a, b)
	}
}

func testManyAtOnce(t *testing.T, s *artifact.Store) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	refs := make([]events.Ref, 8)
	var wg sync.WaitGroup
	for i := range refs {
		wg.Go(func() {
			ref, err := s.PutBytes(t.Context(), want, "")
			if err != nil {
				t.Error(err)
				return
			}
			path, err := s.Path(t.Context(), ref)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			refs[i] = ref
		})
	}
	wg.Wait()
	if len(slices.Compact(refs)) != 1 {
		t.Errorf("equal bytes have the references %v", refs)
	}
}

func testEmpty(t *testing.T, s *artifact.Store) {
	ref := put(t, s, nil, "")
	if b, err := s.Bytes(t.Context(), ref, 0); err != nil || len(b) != 0 {
		t.Errorf("Bytes = %q, %v", b, err)
	}
}

func testLarge(t *testing.T, s *artifact.Store) {
	want := make([]byte, 12<<20) // More than one part of an S3 upload.
	if _, err := rand.Read(want); err != nil {
		t.Fatal(err)
	}
	ref, err := s.Put(t.Context(), bytes.NewReader(want), ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func testFailingReader(t *testing.T, s *artifact.Store) {
	broken := errors.New("the line went dead")
	r := io.MultiReader(strings.NewReader("half a file"), iotest.ErrReader(broken))
	if ref, err := s.Put(t.Context(), r, ""); !errors.Is(err, broken) || !ref.IsZero() {
		t.Errorf("Put = %+v, %v", ref, err)
	}
	noScratch(t, s)
}

func testCancelled(t *testing.T, s *artifact.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PutBytes(ctx, []byte("x"), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v", err)
	}
	noScratch(t, s)
}

// noScratch checks that no temporary file is left.
func noScratch(t *testing.T, s *artifact.Store) {
	t.Helper()
	dir, err := s.TempDir("probe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) > 0 {
		t.Errorf("scratch files are left: %v, %v", left, err)
	}
}

func testNotFound(t *testing.T, s *artifact.Store) {
	ref := events.Ref{URL: "sha256/00/00.csv", Digest: "sha256:" + strings.Repeat("0", 64), Size: 3}
	if _, err := s.Open(t.Context(), ref); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("Open = %v", err)
	}
	if _, err := s.Path(t.Context(), ref); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("Path = %v", err)
	}
}

func testOtherReferences(t *testing.T, s *artifact.Store) {
	ref := put(t, s, []byte("weights"), ".onnx")
	for _, u := range []string{
		"s3://elsewhere/" + ref.URL, "https://example.com/model.onnx", "../../../etc/passwd", "/etc/passwd", "x", "sha256/../" + ref.URL,
	} {
		moved := events.Ref{URL: u, Digest: ref.Digest, Size: ref.Size}
		if b, err := s.Bytes(t.Context(), moved, 100); err != nil || string(b) != "weights" {
			t.Errorf("%s: %q, %v", u, b, err)
		}
		path, err := s.Path(t.Context(), moved)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "weights" {
			t.Errorf("%s: %s holds %q, %v", u, path, b, err)
		}
	}
	if _, err := s.Open(t.Context(), events.Ref{URL: ref.URL, Digest: "sha256:../../etc"}); err == nil {
		t.Error("a malformed digest was opened")
	}
}

func testPutFile(t *testing.T, s *artifact.Store) {
	dir, err := s.TempDir("work")
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := filepath.Join(dir, "a"), filepath.Join(t.TempDir(), "b")
	for path, move := range map[string]bool{inside: true, outside: false} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
		ref, err := s.PutFile(t.Context(), path, ".log", move)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.Bytes(t.Context(), ref, 1000); err != nil || string(b) != path {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) != move {
			t.Errorf("after move=%v: %v", move, err)
		}
	}
	if _, err := s.PutFile(t.Context(), dir, "", true); err == nil {
		t.Error("a folder was put")
	}
}

func testLimit(t *testing.T, s *artifact.Store) {
	ref := put(t, s, []byte("12345"), "")
	if _, err := s.Bytes(t.Context(), ref, 4); err == nil || !strings.Contains(err.Error(), "at most 4") {
		t.Errorf("Bytes = %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, "file://"+b.TempDir())
	data := make([]byte, 64<<10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2], data[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		put(b, s, data, ".parquet")
	}
}
