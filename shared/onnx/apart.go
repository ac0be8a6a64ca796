package onnx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ONNX Runtime trusts the model: a file whose trees point outside of their rows, or that was damaged in such a place,
// ends the process that runs it. So a model that nobody has run yet gets a process of its own first, which may die.

// request is what ProbeApart writes to its process.
type request struct {
	Library  string
	Model    string
	Contract Contract
}

// answer is what comes back: one that says Ready, before the model is touched, and one with the outcome.
type answer struct {
	Ready   bool
	Failure string // why the model could not be probed
	Refusal string // what is wrong with the model
}

// RefusedError says what is wrong with a model that was probed.
type RefusedError struct {
	Path   string
	Reason string // one line for each mistake
}

func (e *RefusedError) Error() string { return fmt.Sprintf("model %s: %s", e.Path, e.Reason) }

// ProbeApart does what Open and Probe do, in a process of its own, so that a model which brings ONNX Runtime down, or
// wants all the machine's memory, is refused in words like any other. The process is started by command: a program that
// calls ServeProbe and ends, commonly the running program itself with an argument of its own. It is killed when ctx ends.
//
// What is wrong with the model comes as a *RefusedError. Any other error means that it was not probed to the end; whether
// a model that took longer than ctx is refused is the caller's to say.
func ProbeApart(ctx context.Context, command []string, path string, c Contract) error {
	err := probeApart(ctx, command, path, c)
	if err == nil || errors.As(err, new(*RefusedError)) {
		return err
	}
	return fmt.Errorf("probe model %s: %w", path, err)
}

func probeApart(ctx context.Context, command []string, path string, c Contract) error {
	if len(command) == 0 {
		return errors.New("no command is given")
	}
	model, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	library, err := loadedLibrary()
	if err != nil {
		return err
	}
	in, err := json.Marshal(request{Library: library, Model: model, Contract: c})
	if err != nil {
		return err
	}

	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{} // nil would mean ours, with its secrets
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value := os.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.WaitDelay = 5 * time.Second
	stdout, stderr := head{limit: 1 << 20}, head{limit: 64 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	ended := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("it did not end in time: %w", context.Cause(ctx))
	}

	answers := json.NewDecoder(bytes.NewReader(stdout.text))
	var ready, outcome answer
	if err := answers.Decode(&ready); err != nil || !ready.Ready && ready.Failure == "" {
		return fmt.Errorf("%s does not probe (%w): %s", strings.Join(command, " "), ended, stderr.firstLine())
	}
	if ready.Failure != "" {
		return errors.New(ready.Failure)
	}
	if err := answers.Decode(&outcome); err != nil {
		return &RefusedError{path, fmt.Sprintf("it brings ONNX Runtime down (%v; %s): the file is damaged, or made to do so", ended, stderr.firstLine())}
	}
	if outcome.Refusal != "" {
		return &RefusedError{path, outcome.Refusal}
	}
	return nil
}

// ServeProbe is the other end of ProbeApart: it reads a request from in, probes the model and writes to out. It limits
// the memory of the process, which should end then. An error means that in or out did not work.
func ServeProbe(ctx context.Context, in io.Reader, out io.Writer) error {
	var r request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return fmt.Errorf("read what to probe: %w", err)
	}
	answers := json.NewEncoder(out)
	if err := errors.Join(Init(r.Library), limitMemory(memoryFor(filepath.Dir(r.Model)))); err != nil {
		return answers.Encode(answer{Failure: err.Error()})
	}
	if err := answers.Encode(answer{Ready: true}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	outcome := answer{Ready: true}
	if err := probeFile(ctx, r.Model, r.Contract); err != nil {
		outcome.Refusal = err.Error()
	}
	return answers.Encode(outcome)
}

func probeFile(ctx context.Context, path string, c Contract) error {
	m, err := open(path, Options{})
	if err != nil {
		return err
	}
	return errors.Join(m.Probe(ctx, c), m.Close())
}

// memoryFor is the address space that probing a model may take: enough to run it on a few rows, and several times the
// model, for loading it makes copies.
func memoryFor(folder string) uint64 {
	limit := uint64(4 << 30)
	entries, _ := os.ReadDir(folder) // if it can't be read, Open says so
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			limit += 4 * uint64(info.Size())
		}
	}
	return limit
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

// firstLine is where Go names the signal that ended a process.
func (h *head) firstLine() string {
	for line := range strings.Lines(string(h.text)) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return "it wrote nothing"
}
