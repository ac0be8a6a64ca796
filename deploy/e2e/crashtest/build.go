package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// root is the folder of the tree that the program is built from: the one that
// this is in.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.work above: start it in Millrace's tree")
		}
	}
}

// program is what is killed: the command and the runner beside it.
type program struct {
	millrace, runner string
	// data has the table and the models that the pipelines are made of.
	data string
	// lib is where make puts ONNX Runtime.
	lib string
}

// build makes the program with fail points.
func build(ctx context.Context, root, dir string) (program, error) {
	p := program{filepath.Join(dir, "millrace"), filepath.Join(dir, "runner"), filepath.Join(root, "functions", "evaluate", "testdata"), filepath.Join(root, "bin", "lib")}
	for _, b := range []struct{ out, source, cgo string }{
		{p.millrace, "deploy/millrace", "1"},
		{p.runner, "functions/train-launcher/cmd/runner", "0"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", "failpoints", "-o", b.out, ".")
		cmd.Dir = filepath.Join(root, b.source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", b.source, err, out)
		}
	}
	return p, nil
}
