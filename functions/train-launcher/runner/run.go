package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/shared/failpoint"
)

// Main is the runner's main: args are the run's folder alone. It gives the
// exit code: 0 when there is a result, also another runner's to come.
//
// The caller has locked its thread to the process's life
// (runtime.LockOSThread in main): the trainer dies with that thread.
func Main(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: runner FOLDER\nThe train launcher starts it; the folder holds a job.json.")
		return 2
	}
	folder, err := filepath.Abs(args[0])
	if err == nil {
		err = Run(Folder(folder))
	}
	if err != nil && !errors.Is(err, errHeld) {
		fmt.Fprintln(stderr, "runner:", err)
		return 1
	}
	return 0
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
}

// Run carries out the job in the folder and leaves a result there. It does
// nothing when there is a result, or another runner at work. The trainer gets
// this process's environment and what MILLRACE_* adds to it.
func Run(folder Folder) error {
	lock, err := folder.hold()
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, done, err := folder.Result(); done || err != nil {
		return err
	}
	r := run{folder: folder}
	if err := folder.read("job.json", &r.job); err != nil {
		return err
	}
	if err := folder.read("attempts.json", &r.past); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	adoptOrphans()
	if r.log, err = openLog(folder.Log(), r.job.MaxLog); err != nil {
		return err
	}
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
	for r.past.Begun == 0 || last.worthAnother() && r.past.Begun <= r.job.Retries {
		if r.past.Begun > 0 {
			pause := min(r.job.Backoff<<min(r.past.Begun-1, 16), maxBackoff)
			if time.Until(deadline) <= pause {
				break
			}
			<-time.After(pause)
			r.log.note("attempt %d of %d", r.past.Begun+1, r.job.Retries+1)
		}
		var err error
		if last, err = r.attempt(deadline); err != nil {
			return Result{}, err
		}
	}
	result := Result{
		OK: last.ok(), ExitCode: last.exit, LogTail: r.log.tail(),
		Attempts: r.past.Begun, Seconds: time.Since(r.past.Started).Seconds(),
	}
	if !result.OK {
		result.Reason, result.Hint = last.words(r.job, result.LogTail)
		if result.Attempts > 1 {
			result.Reason += fmt.Sprintf(" (attempt %d of %d)", result.Attempts, r.job.Retries+1)
		}
	}
	return result, nil
}

const maxBackoff = time.Minute

// prepare makes everything afresh that a trainer finds, so that no attempt
// sees what one before it left or changed.
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
		os.WriteFile(r.folder.params(), r.job.Params, 0o600),
		os.WriteFile(r.folder.pipeline(), r.job.Pipeline, 0o600),
		os.WriteFile(r.folder.Metrics(), nil, 0o600),
	)
}

// copyFile copies rather than links: a trainer may write to its data, and what
// it is a copy of belongs to the artifact store. (Between files io.Copy lets
// the kernel copy, which shares the blocks where the file system can.)
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
