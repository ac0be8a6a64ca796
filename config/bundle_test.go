package config

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func bundle(t testing.TB, l *Loaded) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Bundle(l, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBundleRoundTrip(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, folder(t, sample()))
	dir := filepath.Join(t.TempDir(), "new")
	for range 2 { // the second time over what the first left
		got, err := ReadBundle(bytes.NewReader(bundle(t, l)), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != l.Digest || got.Prepare != l.Prepare || string(got.Pipeline.JSON()) != string(l.Pipeline.JSON()) {
			t.Errorf("read %+v, wrote %+v", got, l)
		}
		if len(got.Tables) != len(l.Tables) {
			t.Errorf("tables are %v, were %v", got.Tables, l.Tables)
		}
		for name, file := range l.Tables {
			want, _ := os.ReadFile(file)
			if have, err := os.ReadFile(got.Tables[name]); err != nil || !bytes.Equal(have, want) {
				t.Errorf("table %s is %q (%v), was %q", name, have, err, want)
			}
		}
		if source, err := os.ReadFile(got.File); err != nil || string(source) != minimal {
			t.Errorf("the file is %q (%v)", source, err)
		}
	}
}

func TestBundleIsDeterministic(t *testing.T) {
	t.Parallel()
	dir := folder(t, sample())
	first := bundle(t, mustLoad(t, dir))
	later := time.Now().Add(time.Hour)
	for _, name := range []string{"pipeline.yaml", "tables/rates.csv"} {
		if err := os.Chtimes(filepath.Join(dir, name), later, later); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first, bundle(t, mustLoad(t, dir))) {
		t.Error("the same files make another bundle")
	}
	if !bytes.Equal(first, bundle(t, mustLoad(t, folder(t, sample())))) {
		t.Error("the same files elsewhere make another bundle")
	}
}

func TestReadBundleRefuses(t *testing.T) {
	t.Parallel()
	head := &tar.Header{Name: "bundle.json", Typeflag: tar.TypeReg, Mode: 0o644}
	const empty = `{"digest":"d","pipeline":{}}`
	entry := func(h tar.Header) []byte {
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		tw := tar.NewWriter(zw)
		first := *head
		first.Size = int64(len(empty))
		_ = tw.WriteHeader(&first)
		_, _ = tw.Write([]byte(empty))
		_ = tw.WriteHeader(&h)
		_, _ = tw.Write(make([]byte, min(h.Size, 1<<10)))
		_ = tw.Flush()
		_ = zw.Close()
		return b.Bytes()
	}
	good := bundle(t, mustLoad(t, folder(t, sample())))
	tests := map[string][]byte{
		"Empty":      nil,
		"NoGzip":     []byte("hello"),
		"Truncated":  good[:len(good)/2],
		"Escape":     entry(tar.Header{Name: "../evil", Typeflag: tar.TypeReg}),
		"Absolute":   entry(tar.Header{Name: "/tmp/evil", Typeflag: tar.TypeReg}),
		"TableInDir": entry(tar.Header{Name: "tables/../../evil.csv", Typeflag: tar.TypeReg}),
		"Link":       entry(tar.Header{Name: "tables/a.csv", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		"Unknown":    entry(tar.Header{Name: "train.py", Typeflag: tar.TypeReg}),
		"LargeTable": entry(tar.Header{Name: "tables/a.csv", Typeflag: tar.TypeReg, Size: maxTableBytes + 1}),
		"LargeFile":  entry(tar.Header{Name: "pipeline.yaml", Typeflag: tar.TypeReg, Size: 5 << 20}),
		"Short":      entry(tar.Header{Name: "pipeline.yaml", Typeflag: tar.TypeReg, Size: 1 << 20}),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			l, err := ReadBundle(bytes.NewReader(data), filepath.Join(parent, "in"))
			if err == nil {
				t.Fatalf("read %+v", l)
			}
			if !strings.HasPrefix(err.Error(), "read pipeline bundle: ") {
				t.Errorf("error is %v", err)
			}
			if left, _ := os.ReadDir(parent); len(left) > 1 {
				t.Errorf("left %v", left)
			}
		})
	}
}
