package runner_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace.dev/functions/train-launcher/runner"
)

// pod is a runner in a pod, as it was installed there.
type pod struct {
	t      *testing.T
	folder runner.Folder
	cmd    *exec.Cmd
	out    string
}

func startPod(t *testing.T, folder runner.Folder) *pod {
	t.Helper()
	bin := t.TempDir()
	if text, err := exec.CommandContext(t.Context(), program, "install", bin).CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p := &pod{t: t, folder: folder, cmd: exec.CommandContext(ctx, filepath.Join(bin, "runner"), "pod", string(folder)), out: filepath.Join(bin, "out")}
	out, err := os.Create(p.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = t.TempDir(), out, os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// exit waits for the end.
func (p *pod) exit() int {
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func (p *pod) ended() {
	p.t.Helper()
	until(p.t, "the run has ended", func() bool {
		_, ok, err := p.folder.Result()
		return ok && err == nil
	})
}

func TestPod(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script  string
		retries int
		exit    int
		shown   string
	}{
		"ends well":       {`echo good; pwd > "$MILLRACE_OUTPUT/pwd"`, 0, 0, "good\n"},
		"fails":           {"echo bad; exit 3", 0, runner.ExitReported, "bad\n"},
		"tries once more": {`echo try; test -e ../here && exit 0; touch ../here; exit 1`, 1, 0, "try\n--- attempt 2 of 2 ---\ntry\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, job := prepare(t, c.script, func(j *runner.Job) { j.Dir, j.Retries = "", c.retries })
			folder := runner.Folder(filepath.Join(t.TempDir(), "run"))
			if err := os.Mkdir(string(folder), 0o700); err != nil {
				t.Fatal(err)
			}
			p := startPod(t, folder)
			// The job comes when the sidecar has fetched the data.
			if err := folder.Create(job); err != nil {
				t.Fatal(err)
			}
			p.ended()
			if exists(filepath.Join(string(from), "result.json")) {
				t.Fatal("another folder was used")
			}
			if err := p.cmd.Process.Signal(syscall.Signal(0)); err != nil {
				t.Fatal("the runner did not wait until the end was told")
			}
			if err := folder.SetReported(); err != nil {
				t.Fatal(err)
			}
			if got := p.exit(); got != c.exit {
				t.Errorf("exit code %d", got)
			}
			if got := read(t, p.out); got != c.shown {
				t.Errorf("it showed %q", got)
			}
			if got := folder.Tail(); got != strings.TrimSuffix(c.shown, "\n") {
				t.Errorf("the tail is %q", got)
			}
			if where := filepath.Join(folder.Output(), "pwd"); exists(where) && strings.TrimSpace(read(t, where)) != p.cmd.Dir {
				t.Errorf("the trainer ran in %s, not where the image says", read(t, where))
			}
		})
	}
}

// A pod that is asked to end leaves no result, whatever it was at.
func TestPodIsStopped(t *testing.T) {
	t.Parallel()
	const atWork = `echo at work; while :; do sleep 0.01; done`
	for name, script := range map[string]string{
		"at work":          `trap "echo asked; exit 0" TERM; ` + atWork,
		"deaf":             `trap "" TERM; ` + atWork,
		"between attempts": "echo at work; exit 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, _ := prepare(t, script, func(j *runner.Job) {
				j.Grace, j.Retries, j.Backoff = 100*time.Millisecond, 1, 30*time.Second
			})
			p := startPod(t, folder)
			until(t, "the trainer is at work", func() bool { return strings.Contains(folder.Tail(), "at work") })
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got := p.exit(); got != 143 {
				t.Errorf("exit code %d", got)
			}
			if _, ok, err := folder.Result(); ok || err != nil {
				t.Errorf("there is a result (%v)", err)
			}
			if name == "at work" && !strings.Contains(folder.Tail(), "asked\n--- the trainer was asked to end ---") {
				t.Errorf("the tail is %q", folder.Tail())
			}
		})
	}
}
