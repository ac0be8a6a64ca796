package main

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// pages are the Markdown files that people read, from the root, with slashes.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".md"):
			rel, err := filepath.Rel(root, file)
			all = append(all, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d pages only: %v", len(all), all)
	}
	return all
}

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	span    = regexp.MustCompile("`[^`\n]+`")
	goFile  = regexp.MustCompile("`([A-Za-z0-9_./-]+\\.go)(?::([A-Za-z_][A-Za-z0-9_.]*))?`")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noText  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are GitHub's names of the headings of a page.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all[strings.ReplaceAll(noText.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

// Every link inside the repository leads to a file, a folder with a page or Go
// files in it, or a heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		text := fence.ReplaceAllString(read(t, page), "")
		for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(text, "x"), -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.Scheme != "" {
				continue // somewhere else
			}
			target := page
			if u.Path != "" {
				target = path.Join(path.Dir(page), u.Path)
			}
			switch {
			case !exists(target):
				t.Errorf("%s links to %s, which is not there", page, m[1])
			case u.Fragment != "" && strings.HasSuffix(target, ".md") && !anchors(read(t, target))[u.Fragment]:
				t.Errorf("%s links to %s, and %s has no such heading", page, m[1], target)
			}
		}
	}
}

// Every Go file that a page names in backticks exists: from the page's folder,
// from the root, or somewhere below the page's folder. `file.go:name` is a
// function, method, type, variable or constant in it.
func TestGoFiles(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, m := range goFile.FindAllStringSubmatch(read(t, page), -1) {
			file := find(page, m[1])
			if file == "" {
				t.Errorf("%s names %s, which is not there", page, m[1])
				continue
			}
			if m[2] == "" {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := m[2][strings.LastIndex(m[2], ".")+1:]
			declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |var |const |\t)` + name + `\b`)
			if !declared.Match(text) {
				t.Errorf("%s says that %s has %s, which it has not", page, m[1], m[2])
			}
		}
	}
}

func find(page, name string) string {
	for _, dir := range []string{path.Dir(page), "."} {
		if file := filepath.Join(root, dir, name); exists(path.Join(dir, name)) {
			return file
		}
	}
	found := ""
	_ = filepath.WalkDir(filepath.Join(root, path.Dir(page)), func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(filepath.ToSlash(file), "/"+name) {
			found = file
			return filepath.SkipAll
		}
		return nil
	})
	return found
}

// What a type says of its settings, and what the page needs, is there.
func TestSettingsNeedTheirMeaning(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"no comment":   "package p\ntype C struct {\n\tDir string `env:\"MILLRACE_X\"`\n}\n",
		"no unit":      "package p\ntype C struct {\n\t// The most rows.\n\tRows int `env:\"MILLRACE_X\"`\n}\n",
		"unknown type": "package p\ntype C struct {\n\t// The most rows.\n\tRows map[string]int `env:\"MILLRACE_X\"`\n}\n",
		"read alone":   "package p\nimport \"os\"\nvar _ = os.Getenv(\"MILLRACE_X\")\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			folder := filepath.Join(dir, "functions", "gateway")
			if err := os.MkdirAll(folder, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "p.go"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := shipped(dir, "functions")
			if err != nil {
				t.Fatal(err)
			}
			_, err = settingsIn(files)
			if err == nil {
				err = allRead(files)
			}
			if err == nil || !strings.Contains(err.Error(), "MILLRACE_X") {
				t.Errorf("%v; want an error that names MILLRACE_X", err)
			}
		})
	}
}

// The pages in the tree are those that the generator writes.
func TestGeneratedPages(t *testing.T) {
	t.Parallel()
	settings, err := settingsPage(root)
	if err != nil {
		t.Fatal(err)
	}
	if settings != read(t, "deploy/settings.md") {
		t.Error("deploy/settings.md is old: run make generate")
	}
	table, err := eventTable(root)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains([]byte(read(t, "ARCHITECTURE.md")), []byte(table)) {
		t.Error("the table of events in ARCHITECTURE.md is old: run make generate")
	}
}
