package demo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/servers"
)

// system is the running Millrace of a demo: `millrace up` in a process of its own.
type system struct {
	cmd     *exec.Cmd
	logFile string
	address string
	ended   chan struct{}
	err     error // of the process, once it has ended
}

const (
	// upWithin bounds the start of the system, downWithin its shutdown.
	upWithin   = 30 * time.Second
	downWithin = 30 * time.Second
	// loggedEvery is how often predictions are logged: often, so that a demo's
	// labels need not wait for them.
	loggedEvery = "2s"
)

// upLine is the line that `millrace up` prints when it is ready.
var upLine = regexp.MustCompile(`^millrace is up at (https?://\S+)`)

// startSystem starts a system and waits until it is ready. If the process later
// exits by itself, ended is called with the reason.
func startSystem(ctx context.Context, o Options, ended func(error)) (*system, error) {
	s := &system{logFile: filepath.Join(o.Dir, "up.log"), ended: make(chan struct{})}
	log, err := os.Create(s.logFile)
	if err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), o.Program, "up", "--dir", o.Dir, "--pipelines", o.Example, "--listen", o.Listen)
	s.cmd.Env = append(s.cmd.Environ(), "MILLRACE_INFERENCE_LOG_EVERY="+loggedEvery)
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the system: %w", err), log.Close())
	}
	address := make(chan string, 1)
	go func() {
		s.read(out, log, address)
		s.err = s.cmd.Wait()
		log.Close()
		close(s.ended)
		ended(s.gone())
	}()
	late := time.NewTimer(upWithin)
	defer late.Stop()
	select {
	case s.address = <-address:
		return s, nil
	case <-s.ended:
		return nil, s.gone()
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), s.stop())
	case <-late.C:
		return nil, errors.Join(fmt.Errorf("the system did not answer within %s; its log is %s", upWithin, relative(s.logFile)), s.stop())
	}
}

// read copies the system's output to its log file, and finds the address in it.
func (s *system) read(out io.Reader, log io.Writer, address chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		if m := upLine.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case address <- m[1]:
			default:
			}
		}
	}
}

// gone returns the error of a system that exited, with the last line of its log.
func (s *system) gone() error {
	reason := "exited"
	if s.err != nil {
		reason = "ended: " + s.err.Error()
	}
	b, _ := os.ReadFile(s.logFile) // there may be no log
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("the system %s; the last line of its log (%s): %s", reason, relative(s.logFile), lines[len(lines)-1])
}

// stop stops the system and waits until it has exited.
func (s *system) stop() error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the system: %w", err)
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(downWithin):
		err := s.cmd.Process.Kill()
		<-s.ended
		return errors.Join(fmt.Errorf("the system did not stop within %s and was killed", downWithin), err)
	}
}

// start starts the system and follows its log.
func (d *demo) start(ctx context.Context, cancel context.CancelCauseFunc) (string, error) {
	began := time.Now()
	s, err := startSystem(ctx, d.Options, func(err error) { cancel(err) })
	if err != nil && strings.Contains(err.Error(), "address already in use") {
		return "", fmt.Errorf("%w; choose another address with --listen (127.0.0.1:0 takes a free port)", err)
	}
	if err != nil {
		return "", err
	}
	d.system = s
	took := time.Since(began)
	if d.client, err = client.New(s.address, cmp.Or(d.Token, servers.Token(s.address))); err != nil {
		return "", err
	}
	d.journal = newJournal()
	go d.journal.follow(ctx, d.client)
	return fmt.Sprintf("the system, one process, is ready at %s after %.2f s", s.address, took.Seconds()), nil
}
