package config

import (
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
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems {
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
