package scaffold

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// venvCommands are the commands that make the virtual environment by hand.
const venvCommands = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"

// Environment makes the virtual environment .venv in the folder and installs its requirements.txt, with uv where it is
// there, else with Python's own venv and pip. What they print goes to out.
func Environment(ctx context.Context, folder string, out io.Writer) error {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	venv := filepath.Join(".venv", "bin", "python")
	steps := [][]string{{python, "-m", "venv", ".venv"}, {venv, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"}}
	if uv, err := exec.LookPath("uv"); err == nil {
		steps = [][]string{{uv, "venv", "--quiet", ".venv"}, {uv, "pip", "install", "--quiet", "--python", venv, "-r", "requirements.txt"}}
	} else if _, err := exec.LookPath(python); err != nil {
		return fmt.Errorf("there is neither uv nor %s in PATH: %w", python, err)
	}
	for _, step := range steps {
		c := exec.CommandContext(ctx, step[0], step[1:]...) //nolint:gosec // PYTHON is the user's own
		c.Dir, c.Stdout, c.Stderr = folder, out, out
		if err := c.Run(); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(step[0]), err)
		}
	}
	return nil
}
