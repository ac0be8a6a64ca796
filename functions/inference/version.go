package inference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
)

// version is one loaded version of a pipeline's model. It does not change. It
// is closed when nobody holds it any more: whoever uses it acquires it first.
type version struct {
	pipeline string
	number   int
	text     string   // the number as the protocols write it
	header   []string // the same as the value of a header
	created  string

	model    *onnx.Model
	folder   string // of its files, removed at the end; "" if there is none
	contract onnx.Contract
	// index is the place of each feature.
	index map[string]int
	// nullable says of each feature whether the model can be told that it is missing.
	nullable []bool
	// matrix says that all features are numbers, so that a request may bring
	// them as one tensor.
	matrix bool
	// bits is the precision of what the model answers, 32 or 64.
	bits    int
	inputs  []tensorInfo
	outputs []tensorInfo
	// all asks for all outputs.
	all []asked
	// classes are the names of the classes as JSON strings.
	classes [][]byte
	layout  *layout
	meters  versionMeters
	// gain says that rows cost less in company; together is how requests go so,
	// nil while they do not.
	gain     bool
	together atomic.Pointer[together]

	refs atomic.Int64
}

// tensorInfo describes a tensor in the words of the Open Inference Protocol.
type tensorInfo struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// The outputs, by task. They are the protocol's, not the model's: what a
// client reads stays the same when a model is exported by another tool.
const (
	outputLabel         = "label"
	outputProbabilities = "probabilities"
	outputPrediction    = "prediction"
)

// acquire holds the version; false when it has been closed.
func (v *version) acquire() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release lets go of the version. The last one closes it.
func (v *version) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	_ = v.model.Close() // nothing is left to be done about it
	if v.folder != "" {
		_ = os.RemoveAll(v.folder)
	}
}

// loadable says whether a version may be asked: it was approved, or it has
// served.
func loadable(m *state.Model) bool { return m != nil && (m.Approved || m.Served) }

// load loads a version, checks it against what its pipeline promises, and warms
// it up. The caller holds what it gets.
func (f *F) load(ctx context.Context, p *state.Pipeline, number int) (_ *version, err error) {
	m := p.Model(number)
	if m == nil {
		return nil, fmt.Errorf("%s has no version %d", p.Name, number)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("load version %d of %s: %w", number, p.Name, err)
		}
	}()
	v := &version{pipeline: p.Name, number: number, text: strconv.Itoa(number), created: m.Created.UTC().Format("2006-01-02T15:04:05Z")}
	v.header = []string{v.text}
	v.refs.Store(1)
	path, folder, err := f.place(ctx, m.Model)
	if err != nil {
		return nil, err
	}
	v.folder = folder
	if v.model, err = onnx.Open(path, onnx.Options{Threads: f.cfg.Threads}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := f.fit(ctx, v, p, m); err != nil {
		v.release()
		return nil, err
	}
	v.describe()
	if len(v.layout.omitted) > 0 {
		f.deps.Logger.WarnContext(ctx, "features that are called like columns of the prediction log are not logged", "pipeline", p.Name, "version", number, "features", v.layout.omitted)
	}
	v.meters = f.meters.version(p.Name, v.text)
	if err := v.warmUp(ctx); err != nil {
		f.deps.Logger.InfoContext(ctx, "a made-up row does not go through the model; it serves all the same", "pipeline", p.Name, "version", number, "error", err)
	} else {
		v.gain = v.gains(ctx)
	}
	v.puts(p.Config.Spec.Serve.Batch)
	return v, nil
}

// fit finds the contract that the model keeps: of the configuration it was
// made under, else of one that ruled at another time. So a champion goes on
// when the pipeline's features have changed.
func (f *F) fit(ctx context.Context, v *version, p *state.Pipeline, m *state.Model) error {
	if p.Config == nil {
		return errors.New("the pipeline has no configuration")
	}
	run := p.Run(m.Run)
	if run == nil || run.Config == p.Configured.Digest {
		err := f.try(ctx, v, p.Config, p, m)
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	past, err := f.configured(ctx, p.Name)
	if err != nil {
		return err
	}
	slices.Reverse(past)
	if run != nil {
		slices.SortStableFunc(past, func(a, b pastConfig) int { return rank(a.digest == run.Config) - rank(b.digest == run.Config) })
	}
	var first error
	for _, c := range past {
		err := f.try(ctx, v, c.pipeline, p, m)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// rank sorts what is meant before the rest.
func rank(meant bool) int {
	if meant {
		return 0
	}
	return 1
}

// try checks the model against what a configuration promises.
func (f *F) try(ctx context.Context, v *version, c *config.Pipeline, p *state.Pipeline, m *state.Model) (err error) {
	if v.contract, err = f.contract(ctx, c, p, m, v.model.Signature()); err != nil {
		return err
	}
	return v.model.Check(v.contract)
}

const modelFile = "model.onnx"

// place makes the model's files lie in one folder and gives the model's path,
// and the folder if it is one of its own.
func (f *F) place(ctx context.Context, m events.Model) (path, folder string, err error) {
	main := slices.IndexFunc(m.Files, func(file events.File) bool { return file.Name == modelFile })
	if main < 0 {
		main = slices.IndexFunc(m.Files, func(file events.File) bool { return strings.HasSuffix(file.Name, ".onnx") })
	}
	if main < 0 && len(m.Files) == 1 {
		main = 0
	}
	if main < 0 {
		return "", "", fmt.Errorf("none of its %d files is called %s", len(m.Files), modelFile)
	}
	if len(m.Files) == 1 {
		path, err = f.deps.Artifacts.Path(ctx, m.Files[0].Ref)
		return path, "", err
	}
	if folder, err = f.deps.Artifacts.TempDir("model-*"); err != nil {
		return "", "", err
	}
	for _, file := range m.Files {
		if err = f.placeFile(ctx, folder, file); err != nil {
			return "", "", errors.Join(err, os.RemoveAll(folder))
		}
	}
	return filepath.Join(folder, m.Files[main].Name), folder, nil
}

func (f *F) placeFile(ctx context.Context, folder string, file events.File) error {
	if !filepath.IsLocal(file.Name) {
		return fmt.Errorf("the file name %q leads out of the model's folder", file.Name)
	}
	from, err := f.deps.Artifacts.Path(ctx, file.Ref)
	if err != nil {
		return err
	}
	to := filepath.Join(folder, file.Name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	return copyFile(from, to)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// describe settles how requests reach the model and answers leave it.
func (v *version) describe() {
	s := v.model.Signature()
	v.index = make(map[string]int, len(v.contract.Features))
	v.matrix = true
	for i, f := range v.contract.Features {
		taken := datatypeIn(s, f)
		v.index[f.Name] = i
		v.nullable = append(v.nullable, f.Type == onnx.Float || f.Type == onnx.String || strings.HasPrefix(taken, "FP"))
		v.matrix = v.matrix && (f.Type == onnx.Float || f.Type == onnx.Int || f.Type == onnx.Bool)
		v.inputs = append(v.inputs, tensorInfo{f.Name, datatypeOf(f.Type, taken), []int64{-1, 1}})
	}
	v.bits = 32
	if i := slices.IndexFunc(s.Outputs, func(t onnx.Tensor) bool { return t.Name == s.ScoreOutput }); i >= 0 && s.Outputs[i].Datatype == "FP64" {
		v.bits = 64
	}
	score := fmt.Sprintf("FP%d", v.bits)
	if v.contract.Task == onnx.Regression {
		v.outputs = []tensorInfo{{outputPrediction, score, []int64{-1}}}
	} else {
		v.outputs = []tensorInfo{
			{outputLabel, "BYTES", []int64{-1}},
			{outputProbabilities, score, []int64{-1, int64(len(v.contract.Classes))}},
		}
		for _, c := range v.contract.Classes {
			v.classes = append(v.classes, appendString(nil, c))
		}
	}
	for i := range v.outputs {
		v.all = append(v.all, asked{at: i})
	}
	v.layout = newLayout(v.contract)
}

// datatypeIn is the datatype the model takes a feature as.
func datatypeIn(s onnx.Signature, f onnx.Feature) string {
	if s.Matrix && len(s.Inputs) == 1 {
		return s.Inputs[0].Datatype
	}
	if i := slices.IndexFunc(s.Inputs, func(t onnx.Tensor) bool { return t.Name == f.Name }); i >= 0 {
		return s.Inputs[i].Datatype
	}
	return ""
}

// datatypeOf is the datatype that clients are told to send a feature as.
func datatypeOf(t onnx.Type, taken string) string {
	switch t {
	case onnx.String:
		return "BYTES"
	case onnx.Int, onnx.Timestamp:
		return "INT64"
	case onnx.Bool:
		return "BOOL"
	}
	if taken == "FP32" {
		return "FP32"
	}
	return "FP64"
}

// warmUp runs a made-up row, so that the first request finds everything made.
func (v *version) warmUp(ctx context.Context) error {
	var out onnx.Scores
	return v.model.Score(ctx, v.madeUp(1), &out)
}

// madeUp is a batch of made-up rows.
func (v *version) madeUp(rows int) *onnx.Batch {
	b := &onnx.Batch{Rows: rows}
	for _, f := range v.contract.Features {
		c := onnx.Column{Name: f.Name, Strings: make([]string, rows), Ints: make([]int64, rows), Floats: make([]float64, rows), Bools: make([]bool, rows)}
		for i := range min(rows, rows*len(f.Values)) {
			c.Strings[i] = f.Values[0]
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}
