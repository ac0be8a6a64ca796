package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// process is Millrace between two kills.
type process struct {
	cmd    *exec.Cmd
	out    string
	mark   string
	ended  chan struct{}
	err    error
	output *os.File
}

// start starts Millrace over the instance's folder; armed names the fail point
// where it ends, empty for none.
func (in *instance) start(armed string) (*process, error) {
	in.starts++
	p := &process{
		out: filepath.Join(in.dir, "starts", fmt.Sprintf("%05d.log", in.starts)), mark: filepath.Join(in.dir, "starts", fmt.Sprintf("%05d.mark", in.starts)),
		ended: make(chan struct{}),
	}
	var err error
	if p.output, err = os.Create(p.out); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(in.program.millrace, "up", "--dir", in.home(), "--pipelines", in.pipelines(), "--listen", "127.0.0.1:0", "--log", "info")
	p.cmd.Env = append(os.Environ(), in.env...)
	if armed != "" {
		p.cmd.Env = append(p.cmd.Env, "MILLRACE_FAILPOINT="+armed, "MILLRACE_FAILPOINT_MARK="+p.mark)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, p.output.Close())
	}
	go func() {
		defer close(p.ended)
		p.err = errors.Join(p.cmd.Wait(), p.output.Close())
	}()
	return p, nil
}

var upAt = regexp.MustCompile(`(?m)^millrace is up at (http://\S+)`)

// pollInterval is how often files and processes are polled.
const pollInterval = 10 * time.Millisecond

// address returns where it answers, "" before it does.
func (p *process) address() string {
	b, err := os.ReadFile(p.out)
	if err != nil {
		return ""
	}
	m := upAt.FindSubmatch(b)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// up waits until it answers and returns its address, "" if it has ended before.
func (p *process) up(ctx context.Context) (string, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if at := p.address(); at != "" {
			return at, nil
		}
		select {
		case <-p.ended:
			return "", nil
		case <-ctx.Done():
			return "", fmt.Errorf("millrace does not start: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// kill ends it, if it has not ended.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	<-p.ended
}

// marked reports whether a process ended at the armed point.
func (p *process) marked() bool {
	_, err := os.Stat(p.mark)
	return err == nil
}

// killed reports whether the process was killed rather than ended by itself.
func (p *process) killed() bool {
	s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && s.Signal() == syscall.SIGKILL
}

// tail returns the end of its output.
func (p *process) tail() string {
	b, err := os.ReadFile(p.out)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// stop ends it by SIGTERM.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("millrace ended with %w:\n%s", p.err, p.tail())
		}
		return nil
	case <-time.After(time.Minute):
		p.kill()
		return errors.New("millrace did not end within a minute of SIGTERM")
	}
}
