package config

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); see -update\n%s", file, diff)
	}
}

// eachFile runs a subtest for every file that matches.
func eachFile(t *testing.T, pattern string, f func(t *testing.T, file string, source []byte)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f(t, file, source)
		})
	}
}

func TestInvalidFilesTellEveryMistake(t *testing.T) {
	t.Parallel()
	eachFile(t, "testdata/invalid/*.yaml", func(t *testing.T, file string, source []byte) {
		_, err := Parse(filepath.Base(file), source)
		if _, ok := errors.AsType[Problems](err); !ok {
			t.Fatalf("error is %v, want Problems", err)
		}
		golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
	})
}

func TestValidFilesHaveCanonicalJSON(t *testing.T) {
	t.Parallel()
	eachFile(t, "testdata/valid/*.yaml", func(t *testing.T, file string, source []byte) {
		p, err := Parse(file, source)
		if err != nil {
			t.Fatal(err)
		}
		canonical := p.JSON()
		golden(t, strings.TrimSuffix(file, ".yaml")+".json", string(canonical)+"\n")

		back, err := FromJSON(canonical)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back, cmp.Comparer(func(a, b Value) bool { return a == b })); diff != "" {
			t.Errorf("FromJSON(JSON()) differs (-loaded +read)\n%s", diff)
		}
		// Answers of the API hold configurations, which clients read as any JSON.
		var plain Pipeline
		if err := json.Unmarshal(canonical, &plain); err != nil {
			t.Errorf("a client cannot read it: %v", err)
		} else if got := string(plain.JSON()); got != string(canonical) {
			t.Errorf("a client reads something else:\n%s\n%s", canonical, got)
		}
		if got := string(back.JSON()); got != string(canonical) {
			t.Errorf("JSON of FromJSON differs:\n%s\n%s", canonical, got)
		}
		// JSON is YAML: with every default written out, the file means the same.
		again, err := Parse("canonical", canonical)
		if err != nil {
			t.Fatalf("the canonical JSON does not load: %v", err)
		}
		if got := string(again.JSON()); got != string(canonical) {
			t.Errorf("the canonical JSON means something else:\n%s\n%s", canonical, got)
		}
	})
}
