package evaluate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
)

// Name of the function.
const Name = "evaluate"

// MetricJudged is the name of the metric that counts evaluations, by the label
// from: rows, or figures.
const MetricJudged = "millrace_evaluations_total"

// ProbeArgument is the argument with which the program that runs evaluate is
// started to probe a model, and then to end: see [Probe].
const ProbeArgument = "probe-model"

// Config is what an installation sets.
type Config struct {
	// Threads that a model may use while it scores a hold-out; 0 is all.
	Threads int `env:"MILLRACE_EVALUATE_THREADS" envDefault:"0"`
	// ProbeCommand starts the process that a new model is tried in; by default
	// the running program with the argument probe-model.
	ProbeCommand []string `env:"MILLRACE_EVALUATE_PROBE_COMMAND" envSeparator:" "`
	// ProbeTimeout is how long a new model may take to load and to answer a few
	// made-up rows.
	ProbeTimeout time.Duration `env:"MILLRACE_EVALUATE_PROBE_TIMEOUT" envDefault:"1m"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if c.Threads < 0 || c.Threads > 1024 {
		errs = append(errs, fmt.Errorf("MILLRACE_EVALUATE_THREADS is %d; 0 (all) to 1024 are allowed", c.Threads))
	}
	if c.ProbeTimeout <= 0 {
		errs = append(errs, fmt.Errorf("MILLRACE_EVALUATE_PROBE_TIMEOUT is %s; it must be more than 0", c.ProbeTimeout))
	}
	return errors.Join(errs...)
}

// timeout is how long one evaluation may take.
const timeout = 10 * time.Minute

// F is the function. It is safe for concurrent use.
type F struct {
	function.Deps
	cfg  Config
	kept kept
	turn chan struct{} // holds one while an evaluation runs
	// measured is the newest value of each metric of each version.
	measured *prometheus.GaugeVec
	// judged counts evaluations: by the rows of the hold-out, or by the figures
	// of an earlier one.
	judged *prometheus.CounterVec
}

// New makes the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.ProbeCommand) == 0 {
		program, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the program that probes models: %w", err)
		}
		cfg.ProbeCommand = []string{program, ProbeArgument}
	}
	if cfg.Threads == 0 {
		cfg.Threads = runtime.GOMAXPROCS(0)
	}
	if err := removeNew(deps.Dir); err != nil {
		return nil, fmt.Errorf("remove what a killed process left: %w", err)
	}
	f := &F{
		Deps: deps, cfg: cfg, kept: kept{dir: deps.Dir, store: deps.Artifacts}, turn: make(chan struct{}, 1),
		measured: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_model_metric", Help: "What a version was measured at on its hold-out.",
		}, []string{"pipeline", "version", "metric"}),
	}
	f.judged = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: MetricJudged, Help: "Evaluations by what they were made from: rows (of the hold-out), or figures (of an earlier evaluation).",
	}, []string{"from"})
	if err := errors.Join(deps.Metrics.Register(f.measured), deps.Metrics.Register(f.judged)); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", Name, err)
	}
	return f, nil
}

// Register registers what the function hears.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, f.completed, function.Timeout(timeout))
	function.Handle(m, f.registered, function.Timeout(timeout))
	function.Handle(m, f.requested, function.Timeout(timeout))
}

// Probe is what the program does when it is started with ProbeArgument. It
// returns the exit code.
func Probe() int {
	if err := onnx.ServeProbe(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

func (f *F) completed(ctx context.Context, e events.Event[events.TrainingCompleted], p *state.Pipeline) ([]events.Data, error) {
	m := p.ModelByRun(e.Data.Run)
	if m == nil {
		return function.Nothing("no version came of run %s: it is unknown or had ended before", e.Data.Run)
	}
	return f.judge(ctx, p, m)
}

func (f *F) registered(ctx context.Context, e events.Event[events.ModelRegistered], p *state.Pipeline) ([]events.Data, error) {
	m := p.ModelByEvent(e.ID)
	if m == nil {
		return nil, fmt.Errorf("the state of %s does not have the model that event %s registered", p.Name, e.ID)
	}
	return f.judge(ctx, p, m)
}

func (f *F) requested(ctx context.Context, e events.Event[events.EvaluationRequested], p *state.Pipeline) ([]events.Data, error) {
	m := p.Model(e.Data.Version)
	if m == nil {
		return function.Nothing("there is no version %d to judge; %s has %d", e.Data.Version, p.Name, len(p.Models))
	}
	return f.judge(ctx, p, m)
}

// judge gives the event that says what the version is worth: the kept one if
// it has been judged under the same conditions.
func (f *F) judge(ctx context.Context, p *state.Pipeline, m *state.Model) ([]events.Data, error) {
	if p.Config == nil {
		return function.Nothing("pipeline %s has no configuration, so that nothing says how to judge version %d", p.Name, m.Version)
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another evaluation to end: %w", context.Cause(ctx))
	}

	c := caseOf(p, m)
	if r, ok := f.kept.load(ctx, c); ok {
		return f.announce(p.Name, r), nil
	}
	how := "figures"
	r, err := f.rejudge(ctx, c)
	if r == nil && err == nil {
		how = "rows"
		r, err = f.evaluate(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate version %d of %s: %w", m.Version, p.Name, err)
	}
	f.judged.WithLabelValues(how).Inc()
	if err := f.kept.save(ctx, c, r); err != nil {
		return nil, fmt.Errorf("keep the evaluation of version %d of %s: %w", m.Version, p.Name, err)
	}
	return f.announce(p.Name, r), nil
}

// announce makes the report's event, and shows its figures.
func (f *F) announce(pipeline string, r *events.EvaluationReport) []events.Data {
	for _, m := range r.Score.Metrics {
		f.measured.WithLabelValues(pipeline, strconv.Itoa(r.Version), m.Name).Set(m.Value)
	}
	return event(r)
}

// evaluate does the work. What is wrong with the model is in the report; the
// error is for what is wrong around it.
func (f *F) evaluate(ctx context.Context, c *evaluation) (*events.EvaluationReport, error) {
	candidate, err := f.loadCandidate(ctx, c)
	if bad := (*refusal)(nil); errors.As(err, &bad) {
		return c.refused("signature", bad), nil
	} else if err != nil {
		return nil, err
	}
	if candidate != nil {
		defer candidate.close()
	}
	if c.holdout.IsZero() || candidate == nil {
		return c.unjudged(), nil
	}

	champion, err := f.loadChampion(ctx, c)
	if err != nil {
		return nil, err
	}
	if champion != nil {
		defer champion.close()
	}
	s, err := f.score(ctx, c, candidate, champion)
	if bad := (*refusal)(nil); errors.As(err, &bad) {
		return c.refused("answers", bad), nil
	} else if err != nil {
		return nil, err
	}
	return c.judged(s), nil
}
