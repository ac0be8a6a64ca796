package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// prefix is that of every module of the repository.
const prefix = "millrace.dev/"

// module is a module in a tree.
type module struct {
	tree string
	dir  string // its folder in the tree, with slashes
	file *modfile.File
}

func (m *module) path() string { return m.file.Module.Mod.Path }
func (m *module) at(name string) string {
	return filepath.Join(m.tree, filepath.FromSlash(m.dir), name)
}

// workspace returns the modules that the tree's go.work names, in its order.
func workspace(tree string) ([]*module, error) {
	b, err := os.ReadFile(filepath.Join(tree, "go.work"))
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", b, nil)
	if err != nil {
		return nil, err
	}
	var modules []*module
	for _, use := range work.Use {
		m := &module{tree: tree, dir: path.Clean(use.Path)}
		b, err := os.ReadFile(m.at("go.mod"))
		if err != nil {
			return nil, err
		}
		if m.file, err = modfile.Parse(path.Join(m.dir, "go.mod"), b, nil); err != nil {
			return nil, err
		}
		if want := prefix + m.dir; m.path() != want {
			return nil, fmt.Errorf("the module in %s is named %s, its place makes it %s", m.dir, m.path(), want)
		}
		modules = append(modules, m)
	}
	return modules, nil
}

// requires lists the modules of the repository that m requires.
func (m *module) requires() []string {
	var paths []string
	for _, r := range m.file.Require {
		if strings.HasPrefix(r.Mod.Path, prefix) {
			paths = append(paths, r.Mod.Path)
		}
	}
	return paths
}

// inOrder returns the modules so that each stands behind those that it requires.
func inOrder(modules []*module) ([]*module, error) {
	var ordered []*module
	placed := map[string]bool{}
	for len(ordered) < len(modules) {
		before := len(ordered)
		for _, m := range modules {
			if !placed[m.path()] && !slices.ContainsFunc(m.requires(), func(p string) bool { return !placed[p] }) {
				ordered = append(ordered, m)
				placed[m.path()] = true
			}
		}
		if len(ordered) == before {
			var left []string
			for _, m := range modules {
				if !placed[m.path()] {
					left = append(left, m.path())
				}
			}
			return nil, fmt.Errorf("these modules require each other in a circle, or one that go.work does not name: %s", strings.Join(left, ", "))
		}
	}
	return ordered, nil
}

// pin makes a go.mod require the repository's modules at the version and drops
// the lines that replace them by folders. Any other replacement of a folder is
// an error: nobody else has that folder.
func pin(f *modfile.File, version string) error {
	for _, r := range f.Replace {
		if r.New.Version != "" {
			return fmt.Errorf("go.mod replaces %s by %s: `go install` refuses a module that replaces anything", r.Old.Path, r.New.Path)
		}
		if !strings.HasPrefix(r.Old.Path, prefix) {
			return fmt.Errorf("go.mod replaces %s by the folder %s, which nobody else has", r.Old.Path, r.New.Path)
		}
	}
	for _, r := range slices.Clone(f.Replace) {
		if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	for _, r := range f.Require {
		if strings.HasPrefix(r.Mod.Path, prefix) {
			if err := f.AddRequire(r.Mod.Path, version); err != nil {
				return err
			}
		}
	}
	f.Cleanup()
	return nil
}

// write rewrites the module's go.mod and go.sum for the version, and gives it
// the repository's LICENSE, which Go would put into its archive otherwise.
func (m *module) write(version string, sums map[string][]string) error {
	if err := pin(m.file, version); err != nil {
		return err
	}
	b, err := m.file.Format()
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.at("go.mod"), b, 0o644); err != nil { //nolint:gosec // a file of a source tree
		return err
	}
	sum, err := os.ReadFile(m.at("go.sum"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if sum = addSums(sum, m.requires(), sums); len(sum) > 0 {
		if err := os.WriteFile(m.at("go.sum"), sum, 0o644); err != nil { //nolint:gosec // a file of a source tree
			return err
		}
	}
	license, err := os.ReadFile(filepath.Join(m.tree, "LICENSE"))
	if err != nil {
		return err
	}
	return os.WriteFile(m.at("LICENSE"), license, 0o644) //nolint:gosec // a file of a source tree
}

// addSums adds the lines of the modules to a go.sum, which is sorted by path.
func addSums(sum []byte, paths []string, sums map[string][]string) []byte {
	var lines []string
	for line := range strings.Lines(string(sum)) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	at, _ := slices.BinarySearch(lines, prefix)
	for _, p := range slices.Sorted(slices.Values(paths)) {
		lines = slices.Insert(lines, at, sums[p]...)
		at += len(sums[p])
	}
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}
