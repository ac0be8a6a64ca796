package env

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

	"millrace.dev/deploy/millrace/up"
)

// Process is a system that is a process of its own.
type Process struct {
	*System
	// Ready is how long it took until everything answered.
	Ready time.Duration
	pid   int
}

var upLine = regexp.MustCompile(`millrace is up at (\S+) after (\d+) ms`)

// given are the options that say which token the system has.
func (o Options) given() up.Options {
	out := up.Options{Dir: o.Dir}
	for _, v := range o.Env {
		if token, ok := strings.CutPrefix(v, "MILLRACE_TOKEN="); ok {
			out.Token = token
		}
	}
	return out
}

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
	// A pipe of our own: a child that inherits it, such as a runner, must not
	// delay Wait.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	timer := time.AfterFunc(patience, func() { read.Close() })
	defer timer.Stop()
	line, err := bufio.NewReader(read).ReadString('\n')
	read.Close()
	at := upLine.FindStringSubmatch(line)
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
	if at == nil {
		_ = end(syscall.SIGKILL)
		logged, _ := os.ReadFile(stderr.Name())
		t.Fatalf("the program did not come up: %v\n%s", err, logged)
	}
	p.System = &System{
		Client: newClient(t, at[1], o.given()), Dir: o.Dir, LogDir: logDir,
		stop: func() error { return end(syscall.SIGTERM) },
		kill: func() error { return end(syscall.SIGKILL) },
	}
	t.Cleanup(func() {
		p.Kill(t)
		if logged, _ := os.ReadFile(stderr.Name()); len(logged) > 0 && t.Failed() {
			t.Logf("standard error of the program:\n%s", logged)
		}
		stderr.Close()
	})
	return p
}

// RSS is how much memory the process holds now, in bytes; 0 where the system does not report it.
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
