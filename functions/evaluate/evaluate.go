package evaluate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
)

// Name of the function.
const Name = "evaluate"

// MetricEvaluations is the name of the metric that counts evaluations. Its label from is rows (of the hold-out) or report (of
// an earlier evaluation).
const MetricEvaluations = "millrace_evaluations_total"

// Tasks are what the program that runs evaluate does in processes of its own: see [apart.Main].
var Tasks = []apart.Task{onnx.ProbeTask, onnx.ScoreTask}

// Config is what an installation sets.
type Config struct {
	// Threads that a model may use while it scores a hold-out; 0 for all.
	Threads int `env:"MILLRACE_EVALUATE_THREADS" envDefault:"0" unit:"threads"`
	// The command of the process in which a new model is tried. Empty for this
	// program with the argument probe-model.
	ProbeCommand []string `env:"MILLRACE_EVALUATE_PROBE_COMMAND" envSeparator:" "`
	// How long a new model may take to load and to answer a few rows.
	ProbeTimeout time.Duration `env:"MILLRACE_EVALUATE_PROBE_TIMEOUT" envDefault:"1m"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	errs := []error{function.AboveZero("MILLRACE_EVALUATE_PROBE_TIMEOUT", c.ProbeTimeout)}
	if c.Threads < 0 || c.Threads > 1024 {
		errs = append(errs, fmt.Errorf("MILLRACE_EVALUATE_THREADS is %d; 0 (all) to 1024 are allowed", c.Threads))
	}
	return errors.Join(errs...)
}

// timeout is how long one evaluation may take.
const timeout = 10 * time.Minute

// F is the function. It is safe for concurrent use.
type F struct {
	deps    function.Deps
	cfg     Config
	cache   cache
	running chan struct{} // holds one element while an evaluation runs
	// measured has the newest value of each metric of each version.
	measured *prometheus.GaugeVec
	// evaluated counts evaluations: from the rows of the hold-out, or from an earlier report.
	evaluated *prometheus.CounterVec
}

// New returns the function, or every mistake of cfg.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.ProbeCommand) == 0 {
		var err error
		if cfg.ProbeCommand, err = onnx.ProbeTask.Command(); err != nil {
			return nil, err
		}
	}
	if cfg.Threads == 0 {
		cfg.Threads = runtime.GOMAXPROCS(0)
	}
	if err := removeNew(deps.Dir); err != nil {
		return nil, fmt.Errorf("remove what a killed process left: %w", err)
	}
	f := &F{deps: deps, cfg: cfg, cache: cache{dir: deps.Dir, store: deps.Artifacts}, running: make(chan struct{}, 1),
		measured: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_model_metric", Help: "The metrics of a version on its hold-out.",
		}, []string{"pipeline", "version", "metric"}),
	}
	f.evaluated = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: MetricEvaluations, Help: "Evaluations by what they were made from: rows (of the hold-out), or report (of an earlier evaluation).",
	}, []string{"from"})
	if err := errors.Join(deps.Metrics.Register(f.measured), deps.Metrics.Register(f.evaluated)); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", Name, err)
	}
	return f, nil
}

// Register subscribes the function to its events.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, f.completed, function.Timeout(timeout))
	function.Handle(m, f.registered, function.Timeout(timeout))
	function.Handle(m, f.requested, function.Timeout(timeout))
}

func (f *F) completed(ctx context.Context, e events.Event[events.TrainingCompleted], p *state.Pipeline) ([]events.Data, error) {
	m := p.ModelByRun(e.Data.Run)
	if m == nil {
		return function.Nothing("run %s has no version: the run is unknown or had ended before", e.Data.Run)
	}
	return f.evaluate(ctx, p, m)
}

func (f *F) registered(ctx context.Context, e events.Event[events.ModelRegistered], p *state.Pipeline) ([]events.Data, error) {
	m := p.ModelByEvent(e.ID)
	if m == nil {
		return nil, fmt.Errorf("the state of %s does not have the model that event %s registered", p.Name, e.ID)
	}
	return f.evaluate(ctx, p, m)
}

func (f *F) requested(ctx context.Context, e events.Event[events.EvaluationRequested], p *state.Pipeline) ([]events.Data, error) {
	m := p.Model(e.Data.Version)
	if m == nil {
		return function.Nothing("version %d does not exist; %s has %d", e.Data.Version, p.Name, len(p.Models))
	}
	return f.evaluate(ctx, p, m)
}

// evaluate returns the event of the version's evaluation: the cached one if it was evaluated under the same conditions.
func (f *F) evaluate(ctx context.Context, p *state.Pipeline, m *state.Model) ([]events.Data, error) {
	if p.Config == nil {
		return function.Nothing("pipeline %s is not configured; version %d cannot be evaluated", p.Name, m.Version)
	}
	select {
	case f.running <- struct{}{}:
		defer func() { <-f.running }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another evaluation to end: %w", context.Cause(ctx))
	}

	c := newEvaluation(p, m)
	if r, ok := f.cache.load(ctx, c); ok {
		return f.emit(p.Name, r), nil
	}
	from := "report"
	r, err := f.reevaluate(ctx, c)
	if r == nil && err == nil {
		from = "rows"
		r, err = f.measureAndGrade(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate version %d of %s: %w", m.Version, p.Name, err)
	}
	if err := f.compareColumns(ctx, c, r); err != nil {
		return nil, fmt.Errorf("evaluate version %d of %s: %w", m.Version, p.Name, err)
	}
	f.evaluated.WithLabelValues(from).Inc()
	if err := f.cache.save(ctx, c, r); err != nil {
		return nil, fmt.Errorf("cache the evaluation of version %d of %s: %w", m.Version, p.Name, err)
	}
	return f.emit(p.Name, r), nil
}

// emit returns the report's event, and sets the metrics of the version.
func (f *F) emit(pipeline string, r *events.EvaluationReport) []events.Data {
	for _, m := range r.Score.Metrics {
		f.measured.WithLabelValues(pipeline, strconv.Itoa(r.Version), m.Name).Set(m.Value)
	}
	return event(r)
}

// measureAndGrade measures the models and applies the gates. A fault of the model is in the report; the error is a fault of
// the installation.
func (f *F) measureAndGrade(ctx context.Context, c *evaluation) (*events.EvaluationReport, error) {
	candidate, err := f.loadCandidate(ctx, c)
	if bad, ok := errors.AsType[*refusal](err); ok {
		return c.refused("signature", bad), nil
	} else if err != nil {
		return nil, err
	}
	if candidate != nil {
		defer candidate.close()
	}
	if candidate != nil {
		err := f.prove(ctx, c, candidate)
		if bad, ok := errors.AsType[*refusal](err); ok {
			return c.refused("predictions", bad), nil
		} else if err != nil {
			return nil, err
		}
	}
	if c.holdout.IsZero() || candidate == nil {
		return c.withoutHoldout(), nil
	}

	champion, err := f.loadChampion(ctx, c)
	if err != nil {
		return nil, err
	}
	if champion != nil {
		defer champion.close()
	}
	s, err := f.score(ctx, c, candidate, champion)
	if bad, ok := errors.AsType[*refusal](err); ok {
		return c.refused("answers", bad), nil
	} else if err != nil {
		return nil, err
	}
	return c.graded(s), nil
}
