package service

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Private keeps what this process has from other processes of the same user, such
// as the trainers that it starts: its environment and memory cannot be read, and
// what it writes from now on is the user's alone.
func Private() error {
	syscall.Umask(0o077)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep the environment from other processes: %w", err)
	}
	return nil
}
