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

// process is one life of Millrace.
type process struct {
	cmd    *exec.Cmd
	out    string
	mark   string
	ended  chan struct{}
	err    error
	output *os.File
}

// start starts Millrace over the world's folder, armed at a point or not.
func (w *world) start(armed string) (*process, error) {
	w.lives++
	p := &process{
		out: filepath.Join(w.dir, "lives", fmt.Sprintf("%05d.log", w.lives)), mark: filepath.Join(w.dir, "lives", fmt.Sprintf("%05d.mark", w.lives)),
		ended: make(chan struct{}),
	}
	var err error
	if p.output, err = os.Create(p.out); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(w.program.millrace, "up", "--dir", w.home(), "--pipelines", w.pipelines(), "--listen", "127.0.0.1:0", "--log", "info")
	p.cmd.Env = append(os.Environ(), w.env...)
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

// look is how often something is looked for.
const look = 10 * time.Millisecond

// address is where it answers, "" while it does not yet.
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

// up waits until it answers, and gives its address; "" when it has ended before.
func (p *process) up(ctx context.Context) (string, error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if at := p.address(); at != "" {
			return at, nil
		}
		select {
		case <-p.ended:
			return "", nil
		case <-ctx.Done():
			return "", fmt.Errorf("millrace does not come up: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// kill ends it, if it has not ended.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	<-p.ended
}

// marked tells whether somebody ended at the armed point.
func (p *process) marked() bool {
	_, err := os.Stat(p.mark)
	return err == nil
}

// killed tells a process that was killed from one that gave up.
func (p *process) killed() bool {
	s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && s.Signal() == syscall.SIGKILL
}

// tail is the last it said.
func (p *process) tail() string {
	b, err := os.ReadFile(p.out)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// stop ends it as one should.
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
