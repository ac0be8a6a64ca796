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
	// Runner is the path of the runner's program; by default "runner" beside
	// this program.
	Runner string `env:"MILLRACE_RUNNER"`
	// Secrets is the folder where train.env's {secret: name/key} is looked up,
	// as the file name/key.
	Secrets string `env:"MILLRACE_SECRETS"`
	// MaxOutput bounds the bytes that a run may leave, MaxFiles the number of
	// its files, MaxLog the bytes that are kept of what it prints.
	MaxOutput int64 `env:"MILLRACE_TRAIN_MAX_OUTPUT" envDefault:"5368709120"`
	MaxFiles  int   `env:"MILLRACE_TRAIN_MAX_FILES" envDefault:"500"`
	MaxLog    int64 `env:"MILLRACE_TRAIN_MAX_LOG" envDefault:"33554432"`
	// Backoff is the pause before the first retry, Grace what a trainer has to
	// end by itself when it is over a limit.
	Backoff time.Duration `env:"MILLRACE_TRAIN_BACKOFF" envDefault:"2s"`
	Grace   time.Duration `env:"MILLRACE_TRAIN_GRACE" envDefault:"10s"`
	// Poll is how often a run under way is looked at. The end of one that this
	// process launched is known at once.
	Poll time.Duration `env:"MILLRACE_TRAIN_POLL" envDefault:"250ms"`
	// Sweep is how often runs are looked for that nobody follows.
	Sweep time.Duration `env:"MILLRACE_TRAIN_SWEEP" envDefault:"15s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s must be more than 0", name))
		}
	}
	positive("MILLRACE_TRAIN_MAX_OUTPUT", c.MaxOutput > 0)
	positive("MILLRACE_TRAIN_MAX_FILES", c.MaxFiles > 0)
	positive("MILLRACE_TRAIN_MAX_LOG", c.MaxLog > 0)
	positive("MILLRACE_TRAIN_BACKOFF", c.Backoff > 0)
	positive("MILLRACE_TRAIN_GRACE", c.Grace > 0)
	positive("MILLRACE_TRAIN_POLL", c.Poll > 0)
	positive("MILLRACE_TRAIN_SWEEP", c.Sweep > 0)
	return errors.Join(errs...)
}

// F is the function.
type F struct {
	cfg  Config
	deps function.Deps
	// runs and cuts are folders below the working folder.
	runs, cuts string
	// cluster is where runs are carried out; nil when they are processes.
	cluster *Cluster
	// launched are runs that this process heard of, for the follower.
	launched chan launched
	measures measures
	turns    turns
	followed sync.WaitGroup
	// stop ends what Start began.
	stop context.CancelFunc
}

// New makes the function whose runs are processes of this machine. The runner
// has to be there: without it every run would fail.
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
	if f.measures, err = newMeasures(deps.Metrics); err != nil {
		return nil, err
	}
	if f.runs, err = filepath.Abs(filepath.Join(deps.Dir, "runs")); err != nil {
		return nil, err
	}
	f.cuts = filepath.Join(deps.Dir, "cuts")
	return f, errors.Join(os.MkdirAll(f.runs, 0o700), os.MkdirAll(f.cuts, 0o700))
}

// cutTimeout is what a decision has that cuts data; a Knative delivery ends
// with it.
const cutTimeout = 9 * time.Minute

// Register registers the handlers.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, deciding(f, onValidated), function.Timeout(cutTimeout))
	function.Handle(m, deciding(f, onRequest), function.Timeout(cutTimeout))
	function.Handle(m, deciding(f, onDrift), function.Timeout(cutTimeout))
	function.Handle(m, deciding(f, onRejected), function.Timeout(cutTimeout))
	function.Handle(m, f.ticked, function.Timeout(cutTimeout))
	function.Handle(m, deciding(f, onEnd[events.TrainingCompleted]), function.Timeout(cutTimeout))
	function.Handle(m, deciding(f, onEnd[events.TrainingFailed]), function.Timeout(cutTimeout))
	function.Handle(m, f.started)
	function.Handle(m, f.jobChanged)
}

// ticked looks after the runs of a cluster, which may have ended without a
// word, and then decides.
func (f *F) ticked(ctx context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	if err := f.lookAfter(ctx, p); err != nil {
		return nil, err
	}
	return deciding(f, onTick)(ctx, e, p)
}

// onEnd takes up what waited for a run.
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

// prepare makes a run of what is wanted: its key, and the cut. When there is a
// reason not to run, that is the decision.
func (f *F) prepare(ctx context.Context, p *state.Pipeline, pl *plan) (*events.TrainingStarted, decision, error) {
	no := func(reason error) (*events.TrainingStarted, decision, error) {
		if pl.quiet {
			return nil, restWith(p, "%s", reason), nil
		}
		d := skip(pl.trigger, "%s", reason)
		if pl.waits {
			d = d.waiting(time.Time{}, pl.causes...)
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
	in, err := f.window(ctx, p.Config, all)
	if err != nil {
		return nil, decision{}, err
	}
	if len(in) == 0 {
		return no(fmt.Errorf("snapshot %s has no rows within data.window", events.Short(pl.snapshot.Digest)))
	}
	made := ingredients{config: p.Configured.Digest, code: code, params: effectiveParams(p.Config, pl.params)}
	for _, s := range in {
		made.partitions = append(made.partitions, s.DatasetPartition)
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
	if other := f.turns.take(p, run); other != "" {
		return nil, decision{later: fmt.Sprintf("run %s is being started", other), after: afterStart}, nil
	}
	cut, err := f.cut(ctx, key, p.Config, in)
	if err != nil {
		f.turns.give(p.Name, run)
	} else {
		f.turns.announced(p.Name, run)
	}
	if _, ok := errors.AsType[*table.Unreadable](err); ok {
		return no(err)
	}
	if err != nil {
		return nil, decision{}, err
	}
	return &events.TrainingStarted{
		Run: run, Key: key, Trigger: pl.trigger, Reason: pl.reason, Snapshot: pl.snapshot.Digest, Partitions: len(in),
		Config: made.config, Code: made.code, Params: made.params, Train: cut.Train, TrainRows: cut.TrainRows,
		Holdout: cut.Holdout, HoldoutRows: cut.HoldoutRows, Profile: cut.Profile, Runtime: runtime, Causes: pl.causes,
	}, decision{}, nil
}

// started hears that a run is in the log, and has it followed from then on. A
// second delivery finds it followed, or ended.
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
