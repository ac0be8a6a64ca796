package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// ExitReported is the exit code of a runner in a pod whose run has failed for good:
// that has been reported, and another pod would not change it.
const ExitReported = 99

// podPollInterval is how often a runner in a pod checks what the sidecar has done.
const podPollInterval = 25 * time.Millisecond

// pod carries out the run of a pod. The sidecar writes the job when the data is
// there; the runner stays until the sidecar has reported the end, since Kubernetes
// ends a sidecar with the main container. SIGTERM (an eviction, a deadline, a
// deletion) ends the trainer and leaves no result: the cluster decides then what
// becomes of the run.
func pod(folder Folder, stdout io.Writer) (exit int, err error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(stop)
	ready := func() bool { return folder.HasJob() || folder.has("result.json") }
	if !wait(stop, ready) {
		return exitStopped, nil
	}
	if err := carryOut(folder, stdout, stop); err != nil {
		if errors.Is(err, errStopped) {
			return exitStopped, nil
		}
		return 1, err
	}
	if !wait(stop, folder.Reported) {
		return exitStopped, nil
	}
	result, _, err := folder.Result()
	switch {
	case err != nil:
		return 1, err
	case !result.OK:
		return ExitReported, nil
	}
	return 0, nil
}

// exitStopped is the exit code of a process that SIGTERM ended, as shells have it.
const exitStopped = 128 + int(syscall.SIGTERM)

// wait polls until ok returns true. It returns false if a signal to stop came
// first.
func wait(stop <-chan os.Signal, ok func() bool) bool {
	tick := time.NewTicker(podPollInterval)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-stop:
			return false
		}
	}
	return true
}

// install copies this program into the folder, for containers whose image does
// not have it.
func install(dir string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, "runner.*")
	if err != nil {
		return err
	}
	defer os.Remove(to.Name()) // gone when it was renamed
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Chmod(0o755), to.Close()); err != nil {
		return fmt.Errorf("copy the runner to %s: %w", dir, err)
	}
	return os.Rename(to.Name(), filepath.Join(dir, "runner"))
}
