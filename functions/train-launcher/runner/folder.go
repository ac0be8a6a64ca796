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
	// OK says that the trainer ended with exit code 0. Whether it left a
	// usable model is for others to say.
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

// Metrics is the file to which the trainer appends what it tells of itself.
func (f Folder) Metrics() string { return f.path("metrics.jsonl") }

// Log is the trainer's output.
func (f Folder) Log() string { return f.path("log") }

// Diary is the runner's own output.
func (f Folder) Diary() string { return f.path("runner.log") }

func (f Folder) data() string     { return f.path("data") }
func (f Folder) params() string   { return f.path("params.json") }
func (f Folder) pipeline() string { return f.path("pipeline.json") }
func (f Folder) lock() string     { return f.path("lock") }

// Create makes the folder with its job. A job that is there already stays as it is.
func (f Folder) Create(job Job) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	if f.HasJob() {
		return nil
	}
	return f.write("job.json", job)
}

// HasJob tells whether Create has been here.
func (f Folder) HasJob() bool { return f.has("job.json") }

func (f Folder) has(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}

// Refuse leaves a result in the place of a job that can't be done. A result
// that is there already stays.
func (f Folder) Refuse(r Result) error {
	if f.has("result.json") {
		return nil
	}
	return f.write("result.json", r)
}

// Overrule puts another result in the place of the runner's.
func (f Folder) Overrule(r Result) error { return f.write("result.json", r) }

// SetTold says that the run's end has been told and what it left is kept: a
// runner in a pod ends then.
func (f Folder) SetTold() error { return f.write("told", true) }

// Told tells whether SetTold has been here.
func (f Folder) Told() bool { return f.has("told") }

// Result reads how the run ended; false while it has not.
func (f Folder) Result() (Result, bool, error) {
	var r Result
	err := f.read("result.json", &r)
	if errors.Is(err, os.ErrNotExist) {
		return Result{}, false, nil
	}
	return r, err == nil, err
}

// Runner is the process id of the runner that is at work, 0 if none is. It
// asks for the lock's holder and does not touch the lock, so that asking never
// stands in the way of a runner that begins.
func (f Folder) Runner() (pid int, err error) {
	file, err := os.OpenFile(f.lock(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
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

// errHeld says that another runner is at work in the folder.
var errHeld = errors.New("another runner has the lock")

// hold takes the lock until the process ends: the kernel gives it back,
// however the process ends. (A lock of fcntl is not inherited by children.)
func (f Folder) hold() (*os.File, error) {
	file, err := os.OpenFile(f.lock(), os.O_RDWR|os.O_CREATE, 0o600)
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

func (f Folder) read(name string, v any) error {
	b, err := os.ReadFile(f.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", f.path(name), err)
	}
	return nil
}

// write puts v at name, whole or not at all, and on the disk before it returns.
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
	return os.Rename(tmp.Name(), f.path(name))
}
