package onnx

import (
	"context"
	"errors"
)

// Model is a loaded model. All methods are safe for concurrent use.
type Model struct {
	signature Signature
}

var errPending = errors.New("onnx: under construction")

// Init loads libonnxruntime from libPath, or from where it is found when libPath is "".
// It may be called again; the library is loaded once a process.
func Init(libPath string) error { return errPending }

// Open loads the model at path. Files with external data are taken from its folder.
func Open(path string, opts Options) (*Model, error) { return nil, errPending }

// Check compares the model with c and settles how Score feeds it. The error joins all mismatches, each in words.
func (m *Model) Check(c Contract) error { return errPending }

// Probe runs Check and then the model itself on a few made-up rows. It ends early when ctx does.
func (m *Model) Probe(ctx context.Context, c Contract) error { return errPending }

// Signature returns inputs and outputs; their roles are known after Check.
func (m *Model) Signature() Signature { return m.signature }

// Score runs the model over b and writes its answers to out.
func (m *Model) Score(ctx context.Context, b *Batch, out *Scores) error { return errPending }

// Close waits for running calls and frees the model.
func (m *Model) Close() error { return nil }
