package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program is what is killed: the command and the runner beside it.
type program struct {
	millrace, runner string
}

// build makes the program with fail points, and with the tags that take a
// promise away.
func build(ctx context.Context, dir string, tags string) (program, error) {
	p := program{filepath.Join(dir, "millrace"), filepath.Join(dir, "runner")}
	if tags != "" {
		tags = "," + tags
	}
	for _, b := range []struct{ out, source, cgo string }{
		{p.millrace, "millrace.dev/deploy/millrace", "1"},
		{p.runner, "millrace.dev/functions/train-launcher/cmd/runner", "0"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", "failpoints"+tags, "-o", b.out, b.source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", b.source, err, out)
		}
	}
	return p, nil
}
