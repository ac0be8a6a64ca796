package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
)

// source is a Go file that ships.
type source struct {
	// dir is its folder, from the repository's root, with slashes.
	dir  string
	file *ast.File
}

// shipped parses the Go files of a folder and the folders in it, without tests,
// packages for tests, and benchmarks.
func shipped(root, folder string) ([]source, error) {
	var all []source
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "e2e" || name == "bench" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "test")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		all = append(all, source{filepath.ToSlash(dir), file})
		return err
	})
	return all, err
}

// oneLine is a comment without its line breaks.
func oneLine(g *ast.CommentGroup) string { return strings.Join(strings.Fields(g.Text()), " ") }
