package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"millrace.dev/config"
	"millrace.dev/functions/inference/batcher"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/predictionlog"
	"millrace.dev/shared/model"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
)

// version is one loaded version of a pipeline's model. It does not change. It
// is closed when its last user releases it: a user acquires it first.
type version struct {
	number  int
	header  []string // the number as the value of a header
	created string

	model   *onnx.Model
	placed  model.Placed // its files, removed at the end
	schema  *codec.Schema
	layout  *predictionlog.Layout
	metrics versionMetrics
	// batchDependent means that a row's answer may depend on the rows beside
	// it, so that requests run unbatched.
	batchDependent bool
	// batchingPays means that rows cost less when they are batched; batcher
	// batches them, nil while requests run unbatched.
	batchingPays bool
	batcher      atomic.Pointer[batcher.Batcher]

	refs atomic.Int64
}

// acquire keeps the version open until release; false if it has been closed.
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

// release ends a use of the version. The last one closes it.
func (v *version) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	_ = v.model.Close() // the error has no consequence
	_ = v.placed.Remove()
}

// loadable reports whether a version may be requested: it was approved, or it
// has served.
func loadable(m *state.Model) bool { return m != nil && (m.Approved || m.Served) }

// load loads a version, checks it against what its pipeline promises, and warms
// it up. It is acquired for the caller.
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
	text := strconv.Itoa(number)
	v := &version{number: number, header: []string{text}, created: m.Created.UTC().Format("2006-01-02T15:04:05Z")}
	v.refs.Store(1)
	if v.placed, err = model.Place(ctx, f.deps.Artifacts, m.Model); err != nil {
		return nil, err
	}
	if v.model, err = onnx.Open(v.placed.Path, onnx.Options{Threads: f.cfg.Threads}); err != nil {
		return nil, errors.Join(err, v.placed.Remove())
	}
	contract, err := f.fit(ctx, v.model, p, m)
	if err != nil {
		v.release()
		return nil, err
	}
	v.schema, v.layout = codec.NewSchema(p.Name, text, contract, v.model.Signature()), predictionlog.NewLayout(contract)
	if omitted := v.layout.Omitted(); len(omitted) > 0 {
		f.deps.Logger.WarnContext(ctx, "features with the name of a column of the prediction log are not logged", "pipeline", p.Name, "version", number, "features", omitted)
	}
	v.batchDependent = contract.BatchDependent
	v.metrics = f.metrics.version(p.Name, text)
	if err := v.warmUp(ctx); err != nil {
		f.deps.Logger.InfoContext(ctx, "the model failed on a made-up row; it is served all the same", "pipeline", p.Name, "version", number, "error", err)
	} else {
		v.batchingPays = v.pays(ctx)
	}
	v.configureBatching(p.Config.Spec.Serve.Batch)
	return v, nil
}

// fit returns the contract that the model fulfils: that of the configuration it
// was trained under, else of another one in the pipeline's history. So a
// champion still serves when the pipeline's features have changed.
func (f *F) fit(ctx context.Context, loaded *onnx.Model, p *state.Pipeline, m *state.Model) (onnx.Contract, error) {
	if p.Config == nil {
		return onnx.Contract{}, errors.New("the pipeline has no configuration")
	}
	run := p.Run(m.Run)
	if run == nil || run.Config == p.Configured.Digest {
		c, err := f.try(ctx, loaded, p.Config, p, m)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	past, err := f.configured(ctx, p.Name)
	if err != nil {
		return onnx.Contract{}, err
	}
	slices.Reverse(past)
	if run != nil {
		slices.SortStableFunc(past, func(a, b pastConfig) int { return rank(a.digest == run.Config) - rank(b.digest == run.Config) })
	}
	var first error
	for _, old := range past {
		c, err := f.try(ctx, loaded, old.pipeline, p, m)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		if first == nil {
			first = err
		}
	}
	return onnx.Contract{}, first
}

// rank sorts what is preferred first.
func rank(preferred bool) int {
	if preferred {
		return 0
	}
	return 1
}

// try returns what a configuration promises, if the model keeps it.
func (f *F) try(ctx context.Context, loaded *onnx.Model, c *config.Pipeline, p *state.Pipeline, m *state.Model) (onnx.Contract, error) {
	contract, err := f.contract(ctx, c, p, m, loaded.Signature())
	if err != nil {
		return contract, err
	}
	return contract, loaded.Check(contract)
}

// warmUp runs a made-up row, so that the first request is not slower.
func (v *version) warmUp(ctx context.Context) error {
	var out onnx.Scores
	return v.model.Score(ctx, v.schema.Contract.MadeUp(1), &out)
}

// Dynamic batching when the pipeline file does not say.
const (
	// batchedRows is how many rows share a run.
	batchedRows = 32
	// triedRows is how many rows are measured, triedTimes how often.
	triedRows, triedTimes = 8, 5
	// minGain is the saving a row that pays for queueing and a goroutine switch.
	minGain = 30 * time.Microsecond
)

// pays measures whether batching saves enough a row.
func (v *version) pays(ctx context.Context) bool {
	unbatched, err := v.quickest(ctx, 1)
	if err != nil {
		return false
	}
	batched, err := v.quickest(ctx, triedRows)
	return err == nil && unbatched-batched/triedRows > max(minGain, unbatched/4)
}

// quickest returns how long the model takes for so many made-up rows, at best.
func (v *version) quickest(ctx context.Context, rows int) (best time.Duration, err error) {
	b := v.schema.Contract.MadeUp(rows)
	var out onnx.Scores
	for i := range triedTimes {
		began := time.Now()
		if err := v.model.Score(ctx, b, &out); err != nil {
			return 0, err
		}
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// configureBatching sets how requests of the version are batched from now on.
func (v *version) configureBatching(b config.Batch) {
	if v.batchDependent {
		b.MaxRows = 1
	}
	if b.MaxRows == 0 {
		b.MaxRows = 1
		if v.batchingPays {
			b.MaxRows = batchedRows
		}
	}
	switch had := v.batcher.Load(); {
	case b.MaxRows == 1:
		v.batcher.Store(nil)
	case had == nil || !had.Configured(b):
		v.batcher.Store(batcher.New(v.model, b, v.metrics.rows))
	}
}
