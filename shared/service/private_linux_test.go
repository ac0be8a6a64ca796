package service_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"millrace.dev/shared/service"
)

// hides is a program that hides its environment and writes a file.
func hides(context.Context) error {
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	err = errors.Join(err, service.Private(), os.WriteFile(os.Getenv("FILE"), nil, 0o666)) //nolint:gosec // the mode is to be seen
	after, err2 := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err = errors.Join(err, err2); err != nil || before != 1 || after != 0 {
		return fmt.Errorf("dumpable is %d, then %d: %w", before, after, err)
	}
	return nil
}

func TestPrivate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=hides", "FILE="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}
