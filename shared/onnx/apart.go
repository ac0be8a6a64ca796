package onnx

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"millrace.dev/shared/apart"
)

// ONNX Runtime trusts the model: a file whose trees point outside of their rows, or that was damaged in such a place,
// ends the process that runs it. So a model that nobody has run yet gets a process of its own first, which may die.

// ProbeTask probes a model in a process of its own: see ProbeApart.
var ProbeTask = apart.Task{Name: "probe-model", Do: serveProbe}

// request is what ProbeApart hands to its process, in gob: JSON has no NaN.
type request struct {
	Library  string
	Model    string
	Contract Contract
	Rows     *Batch // nil for made-up rows
}

// answer is what comes back.
type answer struct {
	Failure string // why the model could not be probed
	Refusal string // what is wrong with the model
	// Warnings are what may be wrong with it.
	Warnings []string
}

// RefusedError says what is wrong with a model that was probed.
type RefusedError struct {
	Path   string
	Reason string // one line for each mistake
}

func (e *RefusedError) Error() string { return fmt.Sprintf("model %s: %s", e.Path, e.Reason) }

// ProbeApart does what Open and Probe do, in a process of its own, so that a model which brings ONNX Runtime down, or
// wants all the machine's memory, is refused in words like any other. The process is started by command, which is
// commonly that of ProbeTask. It is killed when ctx ends.
//
// What is wrong with the model comes as a *RefusedError, and what may be wrong as warnings. Any other error means that it was not probed to the end; whether
// a model that took longer than ctx is refused is the caller's to say.
func ProbeApart(ctx context.Context, command []string, path string, c Contract, rows *Batch) (warnings []string, err error) {
	warnings, err = probeApart(ctx, command, path, c, rows)
	if _, refused := errors.AsType[*RefusedError](err); err == nil || refused {
		return warnings, err
	}
	return nil, fmt.Errorf("probe model %s: %w", path, err)
}

func probeApart(ctx context.Context, command []string, path string, c Contract, rows *Batch) ([]string, error) {
	model, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	library, err := loadedLibrary()
	if err != nil {
		return nil, err
	}
	var in bytes.Buffer
	if err := gob.NewEncoder(&in).Encode(request{Library: library, Model: model, Contract: c, Rows: rows}); err != nil {
		return nil, err
	}
	out, err := apart.Run(ctx, command, in.Bytes())
	if died, ok := errors.AsType[*apart.DiedError](err); ok {
		return nil, &RefusedError{path, whyDied(died, memoryFor(filepath.Dir(model)))}
	}
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("it did not end in time: %w", err)
	}
	if err != nil {
		return nil, err
	}
	var outcome answer
	if err := json.Unmarshal(out, &outcome); err != nil {
		return nil, fmt.Errorf("%s does not probe: %w", strings.Join(command, " "), err)
	}
	if outcome.Failure != "" {
		return nil, errors.New(outcome.Failure)
	}
	if outcome.Refusal != "" {
		return nil, &RefusedError{path, outcome.Refusal}
	}
	return outcome.Warnings, nil
}

// whyDied says in words what the death of a process means that ran a model.
func whyDied(died *apart.DiedError, memory uint64) string {
	if died.OutOfMemory(memory) {
		return fmt.Sprintf("it takes more than the %d MiB of memory that are allowed for trying it", memory>>20)
	}
	return fmt.Sprintf("it brings ONNX Runtime down (%v): the file is damaged, or made to do so", died)
}

// serveProbe is the other end of ProbeApart.
func serveProbe(ctx context.Context, in io.Reader, out io.Writer) error {
	var r request
	if err := gob.NewDecoder(in).Decode(&r); err != nil {
		return fmt.Errorf("read what to probe: %w", err)
	}
	folder, answers := filepath.Dir(r.Model), json.NewEncoder(out)
	err := Init(r.Library)
	if err == nil {
		err = apart.Confine(apart.Limits{Memory: memoryFor(folder), FileBytes: 1 << 20, Files: 1024, Read: []string{folder, filepath.Dir(r.Library)}})
	}
	if err != nil {
		return answers.Encode(answer{Failure: err.Error()})
	}
	warnings, err := probeFile(ctx, r)
	outcome := answer{Warnings: warnings}
	if err != nil {
		outcome.Refusal = err.Error()
	}
	return answers.Encode(outcome)
}

func probeFile(ctx context.Context, r request) ([]string, error) {
	m, err := open(r.Model, Options{})
	if err != nil {
		return nil, err
	}
	warnings, err := m.Probe(ctx, r.Contract, r.Rows)
	return warnings, errors.Join(err, m.Close())
}

// memoryFor is the address space that probing a model may take: enough to run it on a few rows, and several times the
// model, for loading it makes copies.
func memoryFor(folder string) uint64 {
	limit := uint64(4 << 30)
	entries, _ := os.ReadDir(folder) // if it cannot be read, Open says so
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			limit += 4 * uint64(info.Size())
		}
	}
	return limit
}
