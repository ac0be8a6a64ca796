package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"millrace.dev/config/examples"
)

// environmentWithin bounds the creation of the Python environment, which
// downloads about 250 MB the first time.
const environmentWithin = 10 * time.Minute

// makeExample writes the examples beside the demo's folder and creates their
// Python environment. The next demo uses both again.
func (d *demo) makeExample(ctx context.Context) (string, error) {
	dir := filepath.Join(filepath.Dir(d.Dir), "examples")
	if err := writeExamples(dir); err != nil {
		return "", fmt.Errorf("write the examples: %w", err)
	}
	c := exec.CommandContext(ctx, "sh", filepath.Join(dir, "setup.sh"))
	if said, err := c.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", errors.Join(context.Cause(ctx), err)
		}
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return "", fmt.Errorf("setup.sh: %w: %s", err, lines[len(lines)-1])
	}
	d.Example = filepath.Join(dir, pipeline)
	return "the examples and the Python environment of their trainers are in " + relative(dir), nil
}

// writeExamples writes the embedded examples over those in the folder. Other
// files stay, such as the Python environment.
func writeExamples(dir string) error {
	return fs.WalkDir(examples.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(path, 0o750)
		}
		content, err := examples.Files.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o600)
	})
}
