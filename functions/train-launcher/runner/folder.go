package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Job is what a runner has to do. It is written once, before the runner is
// started, and holds no secrets: the trainer's environment is the runner's
// own, so that secrets lie in no file.
type Job struct {
	Run string `json:"run"`
	// Command is the trainer, run in the folder Dir, by default the runner's own.
	Command []string `json:"command"`
	Dir     string   `json:"dir"`
	// Data are the Parquet files of the train part. They are copied.
	Data []Input `json:"data"`
	// Params and Pipeline are what the trainer finds as JSON files.
	Params   json.RawMessage `json:"params"`
	Pipeline json.RawMessage `json:"pipeline"`
	// Timeout bounds all attempts together, from the start of the first.
	Timeout time.Duration `json:"timeoutNanoseconds"`
	// Retries is how often a failed attempt is followed by another, Backoff
	// the pause before the first of them; each further one is twice as long.
	Retries int           `json:"retries"`
	Backoff time.Duration `json:"backoffNanoseconds"`
	// Grace is what a trainer has to end by itself after SIGTERM.
	Grace time.Duration `json:"graceNanoseconds"`
	// MaxOutput bounds the bytes of the output folder (and of the metrics),
	// MaxFiles the number of its files, MaxLog the bytes of the log.
	MaxOutput int64 `json:"maxOutput"`
	MaxFiles  int   `json:"maxFiles"`
	MaxLog    int64 `json:"maxLog"`
}

// Input is one file of the train part.
type Input struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// Result is how a run ended.
type Result struct {
	// OK says that the trainer ended with exit code 0. The runner does not check
	// whether it left a usable model.
	OK bool `json:"ok"`
	// Reason is one sentence, Hint what to do about it; empty when OK.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// ExitCode of the last attempt, 0 also when there was none.
	ExitCode int `json:"exitCode,omitempty"`
	// LogTail are the last lines of the last attempt's output.
	LogTail  string  `json:"logTail,omitempty"`
	Attempts int     `json:"attempts"`
	Seconds  float64 `json:"seconds"`
}

// Folder is the working folder of one run.
type Folder string

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

// Output is the folder in which the trainer leaves its model.
func (f Folder) Output() string { return f.path("output") }

// Metrics is the file to which the trainer appends its metrics.
func (f Folder) Metrics() string { return f.path("metrics.jsonl") }

// Log is the trainer's output.
func (f Folder) Log() string { return f.path("log") }

// RunnerLog is the runner's own output.
func (f Folder) RunnerLog() string { return f.path("runner.log") }

func (f Folder) data() string     { return f.path("data") }
func (f Folder) params() string   { return f.path("params.json") }
func (f Folder) pipeline() string { return f.path("pipeline.json") }
func (f Folder) lock() string     { return f.path("lock") }

// Create makes the folder with its job. It does not replace a job.
func (f Folder) Create(job Job) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	if f.HasJob() {
		return nil
	}
	return f.write("job.json", job)
}

// HasJob tells whether Create was called.
func (f Folder) HasJob() bool { return f.has("job.json") }

func (f Folder) has(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}

// Refuse writes a result without running the job, which cannot be done. It does
// not replace a result.
func (f Folder) Refuse(r Result) error {
	if f.has("result.json") {
		return nil
	}
	return f.write("result.json", r)
}

// Overrule replaces the runner's result.
func (f Folder) Overrule(r Result) error { return f.write("result.json", r) }

// SetReported records that the run's output is uploaded and its end is in the
// log. A runner in a pod ends then.
func (f Folder) SetReported() error { return f.write("told", true) }

// Reported tells whether SetReported was called.
func (f Folder) Reported() bool { return f.has("told") }

// Result returns how the run ended, false while it has not. A result that the
// trainer has damaged is a failure with that reason.
func (f Folder) Result() (Result, bool, error) {
	var r Result
	err := f.read("result.json", &r)
	if errors.Is(err, os.ErrNotExist) {
		return Result{}, false, nil
	}
	if s, ok := errors.AsType[*SpoiledError](err); ok {
		return s.Result(), true, nil
	}
	return r, err == nil, err
}

// Runner returns the process id of the active runner, 0 if no runner is active. It
// queries the holder of the lock without taking the lock, so that it never blocks
// a runner that starts.
func (f Folder) Runner() (pid int, err error) {
	file, err := f.open("lock", os.O_RDWR)
	if _, spoiled := errors.AsType[*SpoiledError](err); spoiled || errors.Is(err, os.ErrNotExist) {
		return 0, nil // nobody can hold what is not there
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &l); err != nil {
		return 0, fmt.Errorf("ask who holds %s: %w", f.lock(), err)
	}
	if l.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(l.Pid), nil
}

// errHeld says that another runner is active in the folder.
var errHeld = errors.New("another runner has the lock")

// hold takes the lock until the process ends: the kernel releases it however
// the process ends. (A lock of fcntl is not inherited by children.)
func (f Folder) hold() (*os.File, error) {
	file, err := f.lockFile()
	if err != nil {
		return nil, err
	}
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &l)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		err = errHeld
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lockFile opens the lock, and makes it where it is not there yet.
func (f Folder) lockFile() (*os.File, error) {
	file, err := f.open("lock", os.O_RDWR)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile("lock", os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
}

// maxResult bounds a result.json, maxFile the other files that hold JSON.
const (
	maxResult = 256 << 10
	maxFile   = 64 << 20
)

func (f Folder) read(name string, v any) error {
	limit := int64(maxFile)
	if name == "result.json" {
		limit = maxResult
	}
	b, err := f.bytes(name, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &SpoiledError{name, fmt.Sprintf("is not what was written there: %v", err)}
	}
	return nil
}

// write writes v to the file name atomically, and syncs it.
func (f Folder) write(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(string(f), name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(b); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return f.rename(filepath.Base(tmp.Name()), name)
}
