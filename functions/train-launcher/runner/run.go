package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"millrace.dev/shared/failpoint"
)

const usage = `usage: runner FOLDER
       runner install FOLDER
       runner pod FOLDER
The train launcher starts it; the folder holds a job.json. In a pod of a
cluster, "install" copies it to where the trainer's container finds it, and
"pod" waits for the job, shows the trainer's output, and stays until the
sidecar has reported the end.`

// Main is the runner's main: args are the run's folder, alone or behind
// "install" or "pod". It gives the exit code: 0 when there is a result, also
// another runner's to come. In a pod the code is the result's.
//
// The caller has locked its thread to the process's life
// (runtime.LockOSThread in main): the trainer dies with that thread.
func Main(args []string, stdout, stderr io.Writer) (exit int) {
	if len(args) == 0 || len(args) > 2 {
		fmt.Fprintln(stderr, usage)
		return 2
	}
	folder, err := filepath.Abs(args[len(args)-1])
	switch {
	case err != nil:
	case len(args) == 1:
		if err = Run(Folder(folder)); errors.Is(err, errHeld) {
			return 0
		}
	case args[0] == "install":
		err = install(folder)
	case args[0] == "pod":
		exit, err = pod(Folder(folder), stdout)
	default:
		fmt.Fprintln(stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "runner:", err)
		return max(1, exit)
	}
	return exit
}

// attempts is what outlives a runner of the run's past.
type attempts struct {
	// Started is when the first attempt began: the timeout counts from it.
	Started time.Time `json:"started"`
	// Begun counts the attempts, the one under way included.
	Begun int `json:"begun"`
}

// run is one run while it is carried out.
type run struct {
	folder Folder
	job    Job
	past   attempts
	log    *outputLog
	// stop asks the run to end without a result; nil if nothing can.
	stop <-chan os.Signal
}

// errStopped is returned for a run that was asked to stop.
var errStopped = errors.New("the run was stopped")

// Run carries out the job in the folder and leaves a result there. It does
// nothing if there is a result already or another runner is active. The trainer
// gets this process's environment with MILLRACE_* added.
func Run(folder Folder) error { return carryOut(folder, nil, nil) }

// carryOut is Run that also copies the trainer's output to show, unless it is
// nil. A signal from stop ends the run without a result, with errStopped.
func carryOut(folder Folder, show io.Writer, stop <-chan os.Signal) error {
	lock, err := folder.hold()
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, done, err := folder.Result(); done || err != nil {
		return err
	}
	r := run{folder: folder, stop: stop}
	if err := folder.read("job.json", &r.job); err != nil {
		return err
	}
	if err := folder.read("attempts.json", &r.past); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if r.job.Dir == "" { // that of the image
		if r.job.Dir, err = os.Getwd(); err != nil {
			return err
		}
	}
	adoptOrphans()
	if r.log, err = openLog(folder.Log(), r.job.MaxLog); err != nil {
		return err
	}
	r.log.show = show
	result, err := r.try()
	if err := errors.Join(err, r.log.Close()); err != nil {
		return err
	}
	failpoint.Hit("result.before")
	err = folder.write("result.json", result)
	failpoint.Hit("result.after")
	return err
}

// try makes attempts until one is final.
func (r *run) try() (Result, error) {
	var last ending
	if r.past.Begun > 0 {
		endAll(func() []int { return marked(r.mark()) })
		last = ending{lost: true}
		r.log.note("attempt %d ended with its runner", r.past.Begun)
	} else {
		r.past.Started = time.Now()
	}
	deadline := r.past.Started.Add(r.job.Timeout)
	raised, same := "", false // the exception of the attempt before, and whether it came again
	for r.past.Begun == 0 || last.worthAnother() && r.past.Begun <= r.job.Retries {
		if r.past.Begun > 0 {
			pause := min(r.job.Backoff<<min(r.past.Begun-1, 16), maxBackoff)
			if time.Until(deadline) <= pause {
				break
			}
			select {
			case <-time.After(pause):
			case <-r.stop:
				return Result{}, errStopped
			}
			r.log.note("attempt %d of %d", r.past.Begun+1, r.job.Retries+1)
		}
		var err error
		begun := time.Now()
		if last, err = r.attempt(deadline); err != nil {
			return Result{}, err
		}
		if last.stopped == asked {
			r.log.note("the trainer was asked to end")
			return Result{}, errStopped
		}
		again := r.raised(last, time.Since(begun))
		if same = again != "" && again == raised; same {
			r.log.note("the same exception twice in a row: not tried again")
			break
		}
		raised = again
	}
	result := Result{
		OK: last.ok(), ExitCode: last.exit, LogTail: r.log.tail(),
		Attempts: r.past.Begun, Seconds: time.Since(r.past.Started).Seconds(),
	}
	if !result.OK {
		result.Reason, result.Hint = last.explain(r.job, result.LogTail)
		if same {
			result.Reason += ", the same twice"
		}
		if result.Attempts > 1 {
			result.Reason += fmt.Sprintf(" (attempt %d of %d)", result.Attempts, r.job.Retries+1)
		}
	}
	return result, nil
}

const maxBackoff = time.Minute

// soon is how quickly a mistake in the trainer's code ends it.
const soon = time.Minute

// raised returns the exception of a Python traceback by which an attempt has
// ended soon, "" if it has ended in another way or something outside was away. One
// that comes twice in a row is the trainer's mistake, and not chance.
func (r *run) raised(e ending, took time.Duration) string {
	tail := r.log.tail()
	if e.exit <= 0 || e.stopped != noLimit || e.unstarted != nil || took >= soon || !strings.Contains(tail, traceback) {
		return ""
	}
	if message := lastMessage(tail); !outage.MatchString(message) {
		return message
	}
	return ""
}

// outage matches the exceptions of what may be there again at the next attempt: a
// network, a server, a lock, memory.
var outage = regexp.MustCompile(`(?i)connection|time(d )?out|unavailable|temporar|network|resolution|urlerror|httperror|http error|ssl|gaierror|too many requests|locked|memory`)

// prepare creates all that a trainer finds anew, so that no attempt sees what an
// earlier one left or changed.
func (r *run) prepare() error {
	for _, dir := range []string{r.folder.data(), r.folder.Output()} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for _, in := range r.job.Data {
		if !filepath.IsLocal(in.Name) {
			return fmt.Errorf("the file name %q leaves its folder", in.Name)
		}
		if err := copyFile(filepath.Join(r.folder.data(), in.Name), in.Path); err != nil {
			return err
		}
	}
	return errors.Join(
		r.folder.put(filepath.Base(r.folder.params()), r.job.Params),
		r.folder.put(filepath.Base(r.folder.pipeline()), r.job.Pipeline),
		r.folder.put(filepath.Base(r.folder.Metrics()), nil),
	)
}

// copyFile copies rather than links: a trainer may write to its data, but the
// original belongs to the artifact store. (io.Copy between files lets the kernel
// copy, which shares blocks if the file system can.)
func copyFile(to, from string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block it
	if err != nil {
		return err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s is not a regular file", from))
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
