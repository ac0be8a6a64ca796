package apart

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// DiedError says that a process ended before it had written an outcome.
type DiedError struct {
	How string // "signal: segmentation fault"
	Why string // the first line that it wrote about that, "" if it wrote nothing
	// Peak is how many bytes of memory it had at most, 0 if that is not known.
	Peak uint64
}

func (e *DiedError) Error() string {
	if e.Why == "" {
		return e.How
	}
	return e.How + "; " + e.Why
}

// OutOfMemory reports whether the process died for lack of memory. The limit is
// how many bytes it could have. Programs die of that in many ways, so it counts that
// most of it was taken.
func (e *DiedError) OutOfMemory(limit uint64) bool {
	why := strings.ToLower(e.Why)
	for _, sign := range []string{"out of memory", "cannot allocate memory", "failed to allocate", "bad_alloc", "failed to create new os thread"} {
		if strings.Contains(why, sign) {
			return true
		}
	}
	// The kernel kills who takes the machine's last memory, and nobody else does.
	return e.How == "signal: killed" || e.Peak > limit/4*3
}

// OutOfTime reports whether the process has used all of its processor time.
func (e *DiedError) OutOfTime() bool { return e.Why == spent }

// maxOutcome is the most that a process may write.
const maxOutcome = 64 << 20

// Run starts a process by command, hands it the work, and returns the outcome
// that it wrote. The process is killed when ctx ends, which is then the error,
// and when this one dies. A *DiedError says that the work has ended it; any other
// error that the work was not done.
func Run(ctx context.Context, command []string, work []byte) ([]byte, error) {
	if len(command) == 0 {
		return nil, errors.New("no command is given")
	}
	// The kernel kills the process when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := commandOf(ctx, command)
	stdout, stderr := head{limit: maxOutcome}, head{limit: 64 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(work), &stdout, &stderr
	ended := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	outcome, began := bytes.CutPrefix(stdout.text, []byte(ready))
	switch {
	case !began:
		return nil, fmt.Errorf("%s does not do the task: %w", strings.Join(command, " "), errors.Join(ended, errors.New(stderr.firstLine())))
	case ended != nil:
		return nil, died(cmd, ended, &stderr)
	case len(outcome) >= maxOutcome:
		return nil, &DiedError{How: "it wrote too much"}
	}
	return outcome, nil
}

// commandOf returns the process to be started.
func commandOf(ctx context.Context, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = environment(), attributes(), 5*time.Second
	return cmd
}

func died(cmd *exec.Cmd, ended error, stderr *head) error {
	return &DiedError{How: ended.Error(), Why: stderr.firstLine(), Peak: peak(cmd.ProcessState)}
}

// peak returns how many bytes of memory a process that has ended had at most, 0
// if that is not known: the kernel counts what this process had at its start.
func peak(s *os.ProcessState) uint64 {
	usage, ok := s.SysUsage().(*syscall.Rusage)
	var own syscall.Rusage
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || usage.Maxrss <= own.Maxrss {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return uint64(usage.Maxrss)
	}
	return uint64(usage.Maxrss) * 1024
}

// environment is that of a process: nothing of ours, which may hold secrets, but
// where libraries are.
func environment() []string {
	env := []string{"MALLOC_ARENA_MAX=2"} // each takes memory of the limit
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// head keeps the beginning of what a process writes.
type head struct {
	limit int
	text  []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), h.limit-len(h.text))]...)
	return len(p), nil
}

// firstLine is where the Go runtime and C++ name what ended the process.
func (h *head) firstLine() string {
	lines := bufio.NewScanner(bytes.NewReader(h.text))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			return line
		}
	}
	return ""
}
