package runner

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"millrace.dev/shared/failpoint"
)

// ending is how an attempt ended. The zero value is a good end.
type ending struct {
	exit   int
	signal syscall.Signal
	// stopped says which limit made the runner end it.
	stopped limit
	// unstarted says why it did not even begin.
	unstarted error
	// lost says that its runner died.
	lost bool
}

type limit int

const (
	noLimit limit = iota
	overTime
	overOutput
	overFiles
	// asked is not a limit: the run was asked to stop.
	asked
)

func (e ending) ok() bool {
	return e.exit == 0 && e.signal == 0 && e.stopped == noLimit && e.unstarted == nil && !e.lost
}

// worthAnother reports whether the failure may be transient.
func (e ending) worthAnother() bool { return !e.ok() && e.stopped == noLimit && e.unstarted == nil }

// How often the limits are checked, and how long to wait for the rest of the
// output after the trainer has ended.
const (
	limitPollInterval = 100 * time.Millisecond
	drainTimeout      = 2 * time.Second
)

// attempt runs the trainer once. An error is the runner's own, which the
// launcher answers by starting it again.
func (r *run) attempt(deadline time.Time) (ending, error) {
	r.past.Begun++
	if err := r.folder.write("attempts.json", r.past); err != nil {
		return ending{}, err
	}
	failpoint.Hit("attempt.before")
	if err := r.prepare(); err != nil {
		return ending{unstarted: err}, nil
	}
	if err := enterable(r.job.Dir); err != nil {
		return ending{unstarted: err}, nil
	}
	r.log.begin()
	read, write, err := os.Pipe()
	if err != nil {
		return ending{}, err
	}
	defer read.Close()
	cmd := exec.Command(r.job.Command[0], r.job.Command[1:]...) //nolint:noctx // watch ends it, and its whole process group
	cmd.Dir = r.job.Dir
	cmd.Env = r.environment()
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = attributes()
	err = cmd.Start()
	write.Close()
	if err != nil {
		return ending{unstarted: err}, nil
	}
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		_, _ = io.CopyBuffer(r.log, onlyReader{read}, make([]byte, 64<<10))
	}()
	stopped := r.watch(cmd, deadline)
	failpoint.Hit("attempt.after")
	endGroup(cmd.Process.Pid)
	endAll(children) // what has left the group, and has come to this process
	_ = read.SetReadDeadline(time.Now().Add(drainTimeout))
	<-logged
	e := ending{stopped: stopped, exit: cmd.ProcessState.ExitCode()}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		e.signal = s.Signal()
	}
	if e.stopped == noLimit {
		e.stopped = r.overLimit()
	}
	return e, nil
}

// enterable checks the folder first: exec would report it as an error of the
// command.
func enterable(dir string) error {
	err := syscall.Access(dir, 1) // X_OK
	if err != nil {
		return &fs.PathError{Op: "chdir", Path: dir, Err: err}
	}
	return nil
}

// onlyReader hides the WriterTo of a file, so that all output goes through the
// log.
type onlyReader struct{ io.Reader }

// environment returns the trainer's environment. The runner's own comes first,
// so that it cannot override MILLRACE_*.
func (r *run) environment() []string {
	return append(os.Environ(),
		"MILLRACE_TRAIN_DATA="+r.folder.data(),
		r.mark(),
		"MILLRACE_PARAMS="+r.folder.params(),
		"MILLRACE_PIPELINE="+r.folder.pipeline(),
		"MILLRACE_METRICS="+r.folder.Metrics(),
		"MILLRACE_RUN_ID="+r.job.Run,
	)
}

// mark is the variable that identifies the processes of a run, whatever process
// group they are in: it names the run's folder.
func (r *run) mark() string { return "MILLRACE_OUTPUT=" + r.folder.Output() }

// watch waits until the trainer has ended, and ends it when it is over a
// limit: it is asked to end, and killed after the grace.
func (r *run) watch(cmd *exec.Cmd, deadline time.Time) limit {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	tick := time.NewTicker(limitPollInterval)
	defer tick.Stop()
	var over limit
	for over == noLimit {
		select {
		case <-ended:
			return noLimit
		case <-timeout.C:
			over = overTime
		case <-r.stop:
			over = asked
		case <-tick.C:
			over = r.overLimit()
		}
	}
	group := -cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	// A stopped (SIGSTOP) process handles SIGTERM only after SIGCONT.
	_ = syscall.Kill(group, syscall.SIGCONT)
	grace := time.NewTimer(r.job.Grace)
	defer grace.Stop()
	for {
		select {
		case <-ended:
			return over
		case <-grace.C:
			endGroup(cmd.Process.Pid)
		case <-tick.C:
			// A trainer that keeps filling the disk gets no further grace.
			if over == overOutput && r.outputSize() > 2*r.job.MaxOutput {
				endGroup(cmd.Process.Pid)
			}
		}
	}
}

// endGroup kills what is left of the trainer's process group.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// endAll kills the processes that find returns until it returns none or time is
// up: a killed process may leave children.
func endAll(find func() []int) {
	over, tick := time.After(drainTimeout), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		pids := find()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			var status syscall.WaitStatus
			_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil) // where it is this one's child
		}
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
}

// overLimit returns the limit that the output exceeds, noLimit if it exceeds
// none.
func (r *run) overLimit() limit {
	switch size, files := r.measure(); {
	case size > r.job.MaxOutput:
		return overOutput
	case files > r.job.MaxFiles:
		return overFiles
	}
	return noLimit
}

func (r *run) outputSize() int64 { size, _ := r.measure(); return size }

// measure returns the bytes of output and metrics, and the number of files and
// folders in the output. It stops counting beyond the limit.
func (r *run) measure() (size int64, files int) {
	if info, err := os.Lstat(r.folder.Metrics()); err == nil {
		size = info.Size()
	}
	// Files come and go meanwhile: one that cannot be read does not count.
	_ = filepath.WalkDir(r.folder.Output(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == r.folder.Output() {
			return nil
		}
		if files++; files > r.job.MaxFiles {
			return fs.SkipAll
		}
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			files--
		case err == nil && info.Mode().IsRegular():
			size += info.Size()
		}
		return nil
	})
	return size, files
}
