package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace.dev/shared/humanize"
)

// Hints that several failures share.
const (
	hintMemory = "give it more memory (on a cluster: train.resources), or train on less: data.window, train.params"
	hintOutput = "write less to MILLRACE_OUTPUT (scratch files belong elsewhere), or raise MILLRACE_TRAIN_MAX_OUTPUT of the train launcher"
)

// explain returns why the attempt failed, and what to do about it.
func (e ending) explain(job Job, tail string) (reason, hint string) {
	switch {
	case e.lost:
		return "the trainer's process disappeared, and its runner with it",
			"the machine was restarted or ran out of memory, or the runner was killed; `millrace retrain` starts another run"
	case e.unstarted != nil:
		return e.explainUnstarted(job)
	case e.stopped == overTime:
		return fmt.Sprintf("the trainer took longer than the %s of train.timeout", span(job.Timeout)),
			"raise train.timeout, or train on less: data.window, train.params"
	case e.stopped == overOutput:
		return fmt.Sprintf("the trainer left more than the %s that a run may leave", humanize.Memory(job.MaxOutput)), hintOutput
	case e.stopped == overFiles:
		return fmt.Sprintf("the trainer left more than the %d files that a run may leave", job.MaxFiles), "put them into one archive"
	case e.signal == syscall.SIGKILL:
		return "the trainer was killed (SIGKILL), most likely because the machine ran out of memory", hintMemory
	case e.signal != 0:
		return fmt.Sprintf("the trainer was ended by a signal: %s", e.signal), ""
	}
	return e.explainExit(tail)
}

// explainUnstarted explains why a trainer could not be started.
func (e ending) explainUnstarted(job Job) (reason, hint string) {
	name := job.Command[0]
	path, isPath := errors.AsType[*fs.PathError](e.unstarted)
	switch {
	case errors.Is(e.unstarted, exec.ErrNotFound):
		hint = fmt.Sprintf("install it, or correct train.command in %s", job.Dir)
		if strings.HasPrefix(name, "python") {
			hint = fmt.Sprintf("make a virtual environment: cd %s && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt", job.Dir)
		}
		return fmt.Sprintf("the command %q is neither in %s nor on the PATH", name, filepath.Join(job.Dir, ".venv", "bin")), hint
	case isPath && path.Op == "chdir":
		return fmt.Sprintf("the pipeline's folder %s cannot be entered: %v", job.Dir, path.Err), "put it back, or load the pipeline from where it is now"
	case errors.Is(e.unstarted, fs.ErrPermission):
		return fmt.Sprintf("the command %q may not be executed: %v", name, e.unstarted), "chmod +x it"
	case errors.Is(e.unstarted, syscall.ENOSPC):
		return fmt.Sprintf("the disk is full: %v", e.unstarted), "free disk space; `millrace retrain` starts another run"
	}
	return fmt.Sprintf("the trainer could not be started: %v", e.unstarted), ""
}

// Exit codes with a meaning in shells.
const (
	exitNotFound = 127
	exitKilled   = 128 + int(syscall.SIGKILL)
)

func (e ending) explainExit(tail string) (reason, hint string) {
	reason = fmt.Sprintf("the trainer ended with exit code %d", e.exit)
	message := lastMessage(tail)
	if message != "" {
		reason += ": " + message
	}
	switch {
	case e.exit == exitKilled:
		return "a process of the trainer was killed (exit code 137), most likely because the machine ran out of memory", hintMemory
	case strings.HasPrefix(message, "ModuleNotFoundError"):
		hint = "install the trainer's requirements into .venv of the pipeline's folder"
	case strings.HasPrefix(message, "MemoryError"):
		hint = hintMemory
	case strings.Contains(message, "No space left on device"):
		hint = "free disk space; `millrace retrain` starts another run"
	case e.exit == exitNotFound:
		hint = "a program that the trainer calls is not installed"
	}
	return reason, hint
}

// exception is the last line of a Python traceback.
var exception = regexp.MustCompile(`^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Group)\b`)

// traceback is how Python's tracebacks begin.
const traceback = "Traceback (most recent call last)"

const maxMessage = 300

// lastMessage returns the exception of a Python traceback in the output, which
// other lines may follow, or else the last line.
func lastMessage(tail string) string {
	lines := strings.Split(strings.TrimSpace(tail), "\n")
	word := strings.TrimSpace(lines[len(lines)-1])
	if strings.Contains(tail, traceback) {
		for _, line := range slices.Backward(lines) {
			if exception.MatchString(line) {
				word = line
				break
			}
		}
	}
	if r := []rune(word); len(r) > maxMessage {
		word = string(r[:maxMessage]) + "…"
	}
	return word
}

// span writes a time as a pipeline file does: 30m, not 30m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
