package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"
)

const page = `# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- A wheel.

## [0.1.1] - soon

- Text.

## [0.1.0]

- Text.

## [0.0.9] - 2026-11-01

`

func TestEntry(t *testing.T) {
	t.Parallel()
	if text, err := entry(page, "v0.2.0"); err != nil || text != "### Added\n\n- A wheel.\n" {
		t.Errorf("v0.2.0: got %q, %v", text, err)
	}
	for version, want := range map[string]string{
		"v0.3.0": "no entry of v0.3.0",
		"v0.1.1": `the date "soon"`,
		"v0.1.0": "has no date",
		"v0.0.9": "is empty",
		"0.2.0":  "is not a version",
		"v0.2":   "is not a version",
		"v2.0.0": "module paths that end in /v2",
	} {
		if text, err := entry(page, version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v; want an error with %q", version, text, err, want)
		}
	}
}

// The modules of this very tree can be released: nothing replaces a module, and
// each names the others at the version, with their digests.
func TestRelease(t *testing.T) {
	t.Parallel()
	tree, proxy := copyModules(t), t.TempDir()
	if err := release("v0.7.0", tree, proxy, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	modules, err := workspace(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 15 {
		t.Fatalf("there are only %d modules", len(modules))
	}
	for _, m := range modules {
		if len(m.file.Replace) > 0 {
			t.Errorf("%s still replaces %s", m.path(), m.file.Replace[0].Old.Path)
		}
		sum, err := os.ReadFile(m.at("go.sum"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, r := range m.file.Require {
			if !strings.HasPrefix(r.Mod.Path, prefix) {
				continue
			}
			if r.Mod.Version != "v0.7.0" {
				t.Errorf("%s requires %s", m.path(), r.Mod)
			}
			for _, of := range []string{" v0.7.0 h1:", " v0.7.0/go.mod h1:"} {
				if strings.Count(string(sum), r.Mod.Path+of) != 1 {
					t.Errorf("go.sum of %s has not one line %s%s", m.path(), r.Mod.Path, of)
				}
			}
		}
		if _, err := os.Stat(filepath.Join(proxy, filepath.FromSlash(m.path()), "@v", "v0.7.0.zip")); err != nil {
			t.Error(err)
		}
	}
}

func TestPinRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ replace, want string }{
		"OtherModule": {"example.com/a => ../a", "which nobody else has"},
		"Fork":        {"example.com/a => example.com/b v1.0.0", "refuses a module that replaces"},
	} {
		f, err := modfile.Parse("go.mod", []byte("module millrace.dev/x\n\nreplace "+c.replace+"\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := pin(f, "v0.1.0"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestInOrderRefusesCircles(t *testing.T) {
	t.Parallel()
	var modules []*module
	for name, requires := range map[string]string{"a": "b", "b": "a"} {
		f, err := modfile.Parse("go.mod", []byte("module millrace.dev/"+name+"\n\nrequire millrace.dev/"+requires+" v0.0.0\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		modules = append(modules, &module{dir: name, file: f})
	}
	if got, err := inOrder(modules); err == nil {
		t.Errorf("a circle was put in order: %v", got)
	}
}

// copyModules copies what says which modules the repository has: go.work,
// LICENSE, and go.mod and go.sum of each.
func copyModules(t *testing.T) string {
	t.Helper()
	from, to := filepath.Join("..", ".."), t.TempDir()
	move := func(name string) {
		b, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			return
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move("go.work")
	move("LICENSE")
	modules, err := workspace(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		move(filepath.Join(m.dir, "go.mod"))
		move(filepath.Join(m.dir, "go.sum"))
	}
	return to
}
