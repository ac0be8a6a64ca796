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

// ExitTold is the exit code of a runner in a pod whose run has failed for good:
// that has been told, and another pod would not mend it.
const ExitTold = 99

// waitEvery is how often a runner in a pod looks for what the sidecar does.
const waitEvery = 25 * time.Millisecond

// pod carries out the run of a pod. The sidecar writes the job when the data is
// there; the runner stays until the sidecar has told the end, since Kubernetes
// ends a sidecar with the main container. SIGTERM (an eviction, a deadline, a
// deletion) ends the trainer and leaves no result: what becomes of the run then
// is the cluster's to say.
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
	if !wait(stop, folder.Told) {
		return exitStopped, nil
	}
	result, _, err := folder.Result()
	switch {
	case err != nil:
		return 1, err
	case !result.OK:
		return ExitTold, nil
	}
	return 0, nil
}

// exitStopped is what a shell makes of SIGTERM.
const exitStopped = 128 + int(syscall.SIGTERM)

// wait waits until ok, false if it was asked to stop before.
func wait(stop <-chan os.Signal, ok func() bool) bool {
	look := time.NewTicker(waitEvery)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-stop:
			return false
		}
	}
	return true
}

// install copies this program into the folder, where containers find it that
// have nothing of ours.
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
