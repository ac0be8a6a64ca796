package trainlauncher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// Name of the function.
const Name = "train-launcher"

// Config is what an installation sets.
type Config struct {
	// Path of the runner. Empty for the file "runner" beside this program.
	Runner string `env:"MILLRACE_RUNNER"`
	// The folder in which {secret: name/key} of train.env is found, as the file
	// name/key.
	Secrets string `env:"MILLRACE_SECRETS"`
	// The most bytes that a run may leave.
	MaxOutput int64 `env:"MILLRACE_TRAIN_MAX_OUTPUT" envDefault:"5368709120" unit:"bytes"`
	// The most files that a run may leave.
	MaxFiles int `env:"MILLRACE_TRAIN_MAX_FILES" envDefault:"500" unit:"files"`
	// The most bytes that are kept of what a run prints: the beginning and the
	// end.
	MaxLog int64 `env:"MILLRACE_TRAIN_MAX_LOG" envDefault:"33554432" unit:"bytes"`
	// The pause before the first retry of a run.
	Backoff time.Duration `env:"MILLRACE_TRAIN_BACKOFF" envDefault:"2s"`
	// How long a trainer over a limit has between SIGTERM and SIGKILL.
	Grace time.Duration `env:"MILLRACE_TRAIN_GRACE" envDefault:"10s"`
	// How often a run in progress is polled. The end of a run that this process
	// launched is known at once.
	Poll time.Duration `env:"MILLRACE_TRAIN_POLL" envDefault:"250ms"`
	// How often runs without a follower are searched for.
	Sweep time.Duration `env:"MILLRACE_TRAIN_SWEEP" envDefault:"15s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	return errors.Join(
		function.AboveZero("MILLRACE_TRAIN_MAX_OUTPUT", c.MaxOutput),
		function.AboveZero("MILLRACE_TRAIN_MAX_FILES", c.MaxFiles),
		function.AboveZero("MILLRACE_TRAIN_MAX_LOG", c.MaxLog),
		function.AboveZero("MILLRACE_TRAIN_BACKOFF", c.Backoff),
		function.AboveZero("MILLRACE_TRAIN_GRACE", c.Grace),
		function.AboveZero("MILLRACE_TRAIN_POLL", c.Poll),
		function.AboveZero("MILLRACE_TRAIN_SWEEP", c.Sweep),
	)
}

// F is the function.
type F struct {
	cfg  Config
	deps function.Deps
	// runs and splits are folders below the working folder.
	runs, splits string
	// cluster runs the trainings; nil if they are processes of this machine.
	cluster *Cluster
	// launched passes started runs to the follower.
	launched chan launched
	metrics  metrics
	leases   leases
	followed sync.WaitGroup
	// stop ends what Start began.
	stop context.CancelFunc
}

// New makes the function whose runs are processes of this machine. It returns an
// error if there is no runner: every run would fail.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Runner == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the runner beside this program: %w", err)
		}
		cfg.Runner = filepath.Join(filepath.Dir(self), "runner")
	}
	if info, err := os.Stat(cfg.Runner); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("%s is not a program: build functions/train-launcher/cmd/runner, put it there or say where it is by MILLRACE_RUNNER", cfg.Runner)
	}
	return newFunction(cfg, deps)
}

func newFunction(cfg Config, deps function.Deps) (*F, error) {
	f := &F{cfg: cfg, deps: deps, launched: make(chan launched), stop: func() {}}
	var err error
	if f.metrics, err = newMetrics(deps.Metrics); err != nil {
		return nil, err
	}
	if f.runs, err = filepath.Abs(filepath.Join(deps.Dir, "runs")); err != nil {
		return nil, err
	}
	f.splits = filepath.Join(deps.Dir, "splits")
	// The folder "cuts" is what earlier versions called "splits".
	return f, errors.Join(os.MkdirAll(f.runs, 0o700), os.MkdirAll(f.splits, 0o700), os.RemoveAll(filepath.Join(deps.Dir, "cuts")))
}

// splitTimeout bounds a decision that splits data, and a Knative delivery.
const splitTimeout = 9 * time.Minute

// Register registers the handlers.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, deciding(f, onValidated), function.Timeout(splitTimeout))
	function.Handle(m, deciding(f, onRequest), function.Timeout(splitTimeout))
	function.Handle(m, deciding(f, onDrift), function.Timeout(splitTimeout))
	function.Handle(m, deciding(f, onRejected), function.Timeout(splitTimeout))
	function.Handle(m, f.ticked, function.Timeout(splitTimeout))
	function.Handle(m, deciding(f, onEnd[events.TrainingCompleted]), function.Timeout(splitTimeout))
	function.Handle(m, deciding(f, onEnd[events.TrainingFailed]), function.Timeout(splitTimeout))
	function.Handle(m, f.started)
	function.Handle(m, f.jobChanged)
}

// ticked polls the runs of a cluster, which may have ended without reporting it,
// and then decides.
func (f *F) ticked(ctx context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	if err := f.reconcile(ctx, p); err != nil {
		return nil, err
	}
	return deciding(f, onTick)(ctx, e, p)
}

// onEnd decides on the training that waited for a run.
func onEnd[In events.Data](e events.Event[In], p *state.Pipeline) decision {
	return resume(e.Time, p)
}

// deciding makes a handler of a decision. A second delivery of the event
// decides again and is refused by the log.
func deciding[In events.Data](f *F, decide func(events.Event[In], *state.Pipeline) decision) func(context.Context, events.Event[In], *state.Pipeline) ([]events.Data, error) {
	return func(ctx context.Context, e events.Event[In], p *state.Pipeline) ([]events.Data, error) {
		d := decide(e, p)
		if d.train != nil {
			var err error
			var start *events.TrainingStarted
			if start, d, err = f.prepare(ctx, p, d.train); err != nil {
				return nil, err
			}
			if start != nil {
				return []events.Data{*start}, nil
			}
		}
		switch {
		case d.skip != nil:
			return []events.Data{*d.skip}, nil
		case d.later != "":
			return nil, function.Later(d.after, errors.New(d.later))
		}
		return function.Nothing("%s", d.nothing)
	}
}

// prepare makes the run that is wanted: its key and its split. If there is a
// reason not to run, that is the decision.
func (f *F) prepare(ctx context.Context, p *state.Pipeline, pl *plan) (*events.TrainingStarted, decision, error) {
	no := func(reason error) (*events.TrainingStarted, decision, error) {
		if pl.quiet {
			return nil, restWith(p, "%s", reason), nil
		}
		d := skip(pl.trigger, "%s", reason)
		if pl.waits {
			d = pl.pend(d)
		}
		return nil, d, nil
	}
	code, runtime, err := f.trainer(ctx, p)
	if errors.Is(err, errNoTrainer) {
		return no(err)
	}
	if err != nil {
		return nil, decision{}, err
	}
	all, err := f.partitions(ctx, pl.snapshot)
	if err != nil {
		return nil, decision{}, err
	}
	in, err := f.sources(ctx, p.Config, all)
	if _, ok := errors.AsType[*table.Unreadable](err); ok {
		return no(err)
	}
	if err != nil {
		return nil, decision{}, err
	}
	if len(in) == 0 {
		return no(fmt.Errorf("snapshot %s has no rows within data.window", events.Short(pl.snapshot.Digest)))
	}
	made := ingredients{config: p.Configured.Digest, code: code, split: splitRule, params: effectiveParams(p.Config, pl.params)}
	for _, s := range in {
		made.partitions = append(made.partitions, s.DatasetPartition)
	}
	if len(p.Config.Spec.Data.Key) > 0 {
		made.newest = byAge(all)
	}
	key, err := made.key()
	if err != nil {
		return nil, decision{}, err
	}
	key, twin := free(p, key)
	if twin != nil {
		return nil, same(p, pl, twin), nil
	}
	run := runID(key)
	if other := f.leases.acquire(p, run); other != "" {
		return nil, decision{later: fmt.Sprintf("run %s is being started", other), after: afterStart}, nil
	}
	split, err := f.split(ctx, key, p.Config, in, all)
	if err != nil {
		f.leases.release(p.Name, run)
	} else {
		f.leases.extend(p.Name, run)
	}
	if _, ok := errors.AsType[*table.Unreadable](err); ok {
		return no(err)
	}
	if err != nil {
		return nil, decision{}, err
	}
	return &events.TrainingStarted{
		Run: run, Key: key, Trigger: pl.trigger, Reason: pl.reason, Snapshot: pl.snapshot.Digest, Partitions: len(in),
		Config: made.config, Code: made.code, Params: made.params, Train: split.Train, TrainRows: split.TrainRows,
		Holdout: split.Holdout, HoldoutRows: split.HoldoutRows, Superseded: split.Superseded, Profile: split.Profile, Runtime: runtime,
		Warnings: append(outdated(p, in), split.Warnings...), Causes: pl.causes,
	}, decision{}, nil
}

// started follows a run whose training.started is in the log. It is idempotent.
func (f *F) started(ctx context.Context, e events.Event[events.TrainingStarted], p *state.Pipeline) ([]events.Data, error) {
	run := p.Run(e.Data.Run)
	if run == nil || run.Status != state.RunStarted {
		return function.Nothing("run %s has ended", e.Data.Run)
	}
	if f.cluster != nil {
		return f.launchOn(ctx, e, p)
	}
	select {
	case f.launched <- launched{pipeline: p.Name, run: run.Run, header: e.Header}:
		return function.Nothing("run %s is followed", run.Run)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
