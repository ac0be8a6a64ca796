package onnx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"millrace.dev/shared/onnxfile"
)

// Model is a loaded model. All its methods may be called from many goroutines at once.
type Model struct {
	options  Options
	graph    graph
	session  *ort.DynamicAdvancedSession
	runnable []Tensor // the outputs that are tensors, in the order the session has them

	// mu is held for reading while the model runs, for writing while plan changes or the session ends.
	mu     sync.RWMutex
	closed bool
	plan   *plan // nil before the first Check that passed
}

// maxModelBytes is the most a protocol buffer can hold. Larger models keep their weights in external data.
const maxModelBytes = 1<<31 - 1

// Open loads the model at path; external data is read from the folder it is in. The error says what is wrong with the
// file: that it is not an ONNX model, that external data is missing or leads out of the folder, or what ONNX Runtime has
// against it. Whether the model fits a pipeline is for Check to say.
func Open(path string, opts Options) (*Model, error) {
	m, err := open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", path, err)
	}
	return m, nil
}

func open(path string, opts Options) (*Model, error) {
	threads, err := opts.threads()
	if err != nil {
		return nil, err
	}
	if err := Init(""); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not an ordinary file")
	case info.Size() == 0:
		return nil, errors.New("the file is empty")
	case info.Size() > maxModelBytes:
		return nil, fmt.Errorf("it has %d bytes, an ONNX file has at most 2 GiB: save the weights as external data", info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := onnxfile.Read(data)
	if err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := checkExternal(folder, file.External); err != nil {
		return nil, err
	}
	if data, err = file.Runnable(data); err != nil {
		return nil, err
	}
	m := &Model{options: opts, graph: graphOf(file)}
	// The session gets the bytes that were judged above, made runnable, not the path: the file may be another one by now.
	if err := m.start(data, folder, threads); err != nil {
		return nil, fmt.Errorf("ONNX Runtime refuses it: %w", err)
	}
	return m, nil
}

// start makes the session.
func (m *Model) start(data []byte, folder string, threads int) error {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer func() { _ = o.Destroy() }()
	err = errors.Join(
		o.SetIntraOpNumThreads(threads),
		o.SetInterOpNumThreads(1),
		// A thread that spins for work takes the core that another request needs.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		// Memory patterns are kept for every batch size ever seen.
		o.SetMemPattern(false),
		o.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", folder),
	)
	if err != nil {
		return err
	}
	var inputs, outputs []string
	for _, t := range m.graph.inputs {
		inputs = append(inputs, t.Name)
	}
	for _, t := range m.graph.outputs {
		if isTensor(t) {
			m.runnable = append(m.runnable, t)
			outputs = append(outputs, t.Name)
		}
	}
	m.session, err = ort.NewDynamicAdvancedSessionWithONNXData(data, inputs, outputs, o)
	return err
}

// Signature returns what goes in and comes out. Its roles are known after a Check that passed. The slices are shared:
// read them only.
func (m *Model) Signature() Signature {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := Signature{Inputs: m.graph.inputs, Outputs: m.graph.outputs, Classes: m.graph.classes}
	if m.plan != nil {
		s.Inputs, s.Outputs = m.plan.named, m.plan.outputs
		s.Matrix, s.ScoreOutput, s.LabelOutput = m.plan.matrix, m.plan.score.name, m.plan.label.name
	}
	return s
}

// maxRows is how many rows go through the model at a time. It bounds the memory of a slot, and the time until a
// cancelled context is noticed.
const maxRows = 4096

// MaxTogether is how many rows RunTogether takes.
const MaxTogether = maxRows

// Score runs the model over b and writes the answers to out. A missing value becomes NaN where the model takes floats
// and the feature's Missing where it takes strings; where it takes an int or a bool it is an error that names column and row. When ctx ends
// the run is ended, and the error is the cause of that. After an error out holds nothing of use.
func (m *Model) Score(ctx context.Context, b *Batch, out *Scores) error {
	return m.Run(&Job{Context: ctx, Batch: b, Scores: out})
}

// Run is Score for a job. The error is what Job.Over returns if that ended the run.
func (m *Model) Run(j *Job) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	if m.plan == nil {
		return ErrUnchecked
	}
	if err := m.plan.run(m.session, j); err != nil {
		return fmt.Errorf("score %d rows: %w", j.Batch.Rows, err)
	}
	return nil
}

// RunTogether runs the model once over the rows of several jobs, and gives each its own answers. All of them
// together have at most MaxTogether rows. The run is ended when all of them are over. An error may be the fault of any
// of them, and no Scores holds anything of use then: Run tells which it is.
func (m *Model) RunTogether(jobs []Job) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	if m.plan == nil {
		return ErrUnchecked
	}
	n := 0
	pieces := make([]piece, len(jobs))
	for i, j := range jobs {
		pieces[i] = piece{batch: j.Batch, out: j.Scores, n: j.Batch.Rows}
		j.Scores.reset(j.Batch.Rows, m.plan.width())
		n += j.Batch.Rows
	}
	switch {
	case n == 0:
		return nil
	case n > MaxTogether:
		return fmt.Errorf("score %d rows together: at most %d can be", n, MaxTogether)
	}
	if m.plan.fixed > 0 {
		return m.runInTurn(jobs)
	}
	if err := m.plan.runPieces(m.session, jobs, pieces, n); err != nil {
		return fmt.Errorf("score %d rows of %d batches: %w", n, len(jobs), err)
	}
	return nil
}

// runInTurn runs the jobs one after another, for a model whose runs have a fixed number of rows.
func (m *Model) runInTurn(jobs []Job) error {
	for i := range jobs {
		if err := m.plan.run(m.session, &jobs[i]); err != nil {
			return fmt.Errorf("score %d rows: %w", jobs[i].Batch.Rows, err)
		}
	}
	return nil
}

// Overdue returns how long ago a run was ended that has not stopped yet, 0 if all have. ONNX Runtime looks between
// the operators of a graph whether it should stop, so a model that is in one for long is stuck.
func (m *Model) Overdue() time.Duration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.plan == nil {
		return 0
	}
	return m.plan.idle.overdue()
}

// Close waits for running calls and frees the model. Calls that come later get ErrClosed; a second Close does nothing.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if m.plan != nil {
		m.plan.idle.drain()
	}
	defer giveBack()
	return m.session.Destroy()
}
