package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzLoad feeds anything as a pipeline file: it is refused with problems, or
// it has a canonical JSON that means the same. Nothing takes long.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/invalid/*.yaml", "testdata/valid/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no files match %s: %v", pattern, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(source)
		}
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		begin := time.Now()
		p, err := Parse("fuzz.yaml", source)
		if took := time.Since(begin); took > 20*time.Second {
			t.Fatalf("%d bytes took %s", len(source), took)
		}
		if err != nil {
			if problems, _ := errors.AsType[Problems](err); len(problems) == 0 || len(problems) > maxProblems {
				t.Fatalf("error is %v", err)
			}
			return
		}
		canonical := p.JSON()
		again, err := Parse("canonical.json", canonical)
		if err != nil {
			t.Fatalf("the canonical JSON does not load: %v\n%s", err, canonical)
		}
		if got := again.JSON(); string(got) != string(canonical) {
			t.Fatalf("the canonical JSON means something else\n%s\n%s", canonical, got)
		}
	})
}

// FuzzReadBundle feeds anything as a bundle: it is refused, or it is a
// pipeline, and nothing lands outside its folder.
func FuzzReadBundle(f *testing.F) {
	f.Add(bundle(f, mustLoad(f, folder(f, sample()))))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		l, err := ReadBundle(bytes.NewReader(data), filepath.Join(parent, "in"))
		if err == nil && l.Pipeline == nil {
			t.Fatal("a bundle without a pipeline")
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 1 {
			t.Fatalf("left %v, %v", left, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	source, err := os.ReadFile("testdata/valid/full.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("full.yaml", source); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromJSON(b *testing.B) {
	source, err := os.ReadFile("testdata/valid/full.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromJSON(source); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWantsUpload(b *testing.B) {
	p := &Pipeline{Spec: Spec{Data: Data{Uploads: []string{"flights/**/*.parquet"}}}}
	b.ReportAllocs()
	for b.Loop() {
		if !p.WantsUpload("", "flights/2013/2013-01.parquet") {
			b.Fatal("not wanted")
		}
	}
}

// FuzzFromJSON feeds anything as a pipeline that stands in an event: it is an
// error, or its canonical JSON reads the same again.
func FuzzFromJSON(f *testing.F) {
	files, err := filepath.Glob("testdata/valid/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if p, err := Parse(file, b); err == nil {
			f.Add(p.JSON())
		}
	}
	for _, s := range []string{`{}`, `[]`, `{"spec":null}`, `{"spec":{"train":{"params":{"a":1e400}}}}`, `{"later":true}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := FromJSON(data)
		if err != nil {
			return
		}
		once := p.JSON()
		again, err := FromJSON(once)
		if err != nil {
			t.Fatalf("its own JSON cannot be read: %v\n%s", err, once)
		}
		if twice := again.JSON(); !bytes.Equal(once, twice) {
			t.Fatalf("%s\nis read as\n%s", once, twice)
		}
	})
}
