package apart

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Conversation is with a process that gets its work in pieces. It is for one
// goroutine.
type Conversation struct {
	// In is what the process reads, Out what it writes.
	In  io.Writer
	Out io.Reader

	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	stderr head
	done   chan struct{} // closed when the process has ended, for ended
	ended  error
}

// Start starts a process by command. It is killed when ctx ends, when this one
// dies, and by Close.
func Start(ctx context.Context, command []string) (*Conversation, error) {
	if len(command) == 0 {
		return nil, errors.New("no command is given")
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	c := &Conversation{In: in, cmd: commandOf(ctx, command), in: in, out: out, stderr: head{limit: 64 << 10}, done: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, &c.stderr
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel kills the process when the thread that started it ends
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		_, _ = theirIn.Close(), theirOut.Close()
		started <- err
		if err == nil {
			c.ended = c.cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	read := bufio.NewReader(out)
	c.Out = read
	if line, err := read.ReadString('\n'); err != nil || line != ready {
		c.Close()
		return nil, fmt.Errorf("%s does not do the task: %w", strings.Join(command, " "), errors.Join(err, c.ended, errors.New(c.stderr.firstLine())))
	}
	return c, nil
}

// Death returns how the process has ended, a *DiedError, after In or Out has
// failed. It waits for the end.
func (c *Conversation) Death() error {
	_ = c.in.Close()
	<-c.done
	if c.ended == nil {
		return &DiedError{How: "it ended early", Why: c.stderr.firstLine()}
	}
	return died(c.cmd, c.ended, &c.stderr)
}

// Close ends the process. A second Close does nothing.
func (c *Conversation) Close() {
	_ = c.cmd.Process.Kill()
	<-c.done
	_, _ = c.in.Close(), c.out.Close()
}
