package rig

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a system that is a process of its own.
type Process struct {
	*System
	// Ready is how long it took until everything answered.
	Ready time.Duration
	pid   int
}

var upLine = regexp.MustCompile(`millrace is up at (\S+) after (\d+) ms`)

// Launch starts the program as a process, which ends with the test.
func Launch(t testing.TB, program string, o Options) *Process {
	t.Helper()
	args := []string{"up", "--listen", "127.0.0.1:0", "--dir", o.Dir}
	for _, p := range o.Pipelines {
		args = append(args, "--pipelines", p)
	}
	url, logDir := o.nats()
	if url != "" {
		args = append(args, "--nats", url)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), o.Env...)
	// A pipe of our own: whoever inherits it, a runner for instance, must not
	// hold up Wait.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	timer := time.AfterFunc(patience, func() { read.Close() })
	defer timer.Stop()
	line, err := bufio.NewReader(read).ReadString('\n')
	read.Close()
	up := upLine.FindStringSubmatch(line)
	p := &Process{pid: cmd.Process.Pid, Ready: time.Since(began)}
	end := func(signal syscall.Signal) error {
		if err := cmd.Process.Signal(signal); err != nil {
			return err
		}
		if err := cmd.Wait(); signal != syscall.SIGKILL {
			return err
		}
		return nil
	}
	if up == nil {
		_ = end(syscall.SIGKILL)
		words, _ := os.ReadFile(said.Name())
		t.Fatalf("the program did not come up: %v\n%s", err, words)
	}
	p.System = &System{
		Client: newClient(t, up[1]), Dir: o.Dir, LogDir: logDir,
		stop: func() error { return end(syscall.SIGTERM) },
		kill: func() error { return end(syscall.SIGKILL) },
	}
	t.Cleanup(func() {
		p.Kill(t)
		if words, _ := os.ReadFile(said.Name()); len(words) > 0 && t.Failed() {
			t.Logf("the program said:\n%s", words)
		}
		said.Close()
	})
	return p
}

// RSS is how much memory the process holds now, in bytes; 0 where it can't be told.
func (p *Process) RSS() int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "status"))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if fields := strings.Fields(string(line)); len(fields) == 3 && fields[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
