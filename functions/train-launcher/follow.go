package trainlauncher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/state"
)

// launched names a run that the log has as started.
type launched struct {
	pipeline, run string
	// header is that of the training.started; zero if it has yet to be found.
	header events.Header
}

func (l launched) name() string { return l.pipeline + "/" + l.run }

// Start follows every run that was started and has not ended, and those that
// start from now on, until ctx ends or Stop is called. The runs continue after
// that, in processes of their own. Runs of a cluster are polled once: events
// report on them afterwards.
func (f *F) Start(ctx context.Context) error {
	ctx, f.stop = context.WithCancel(ctx)
	if f.cluster != nil {
		f.followed.Go(func() { f.catchUp(ctx) })
		return nil
	}
	f.followed.Go(func() { f.dispatch(ctx) })
	return nil
}

// Stop stops following runs. The runs continue.
func (f *F) Stop(ctx context.Context) error {
	f.stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.followed.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("runs are still being collected: %w", ctx.Err())
	}
}

// catchUp polls the runs of a cluster that have not ended: events may have been
// missed while this process was down.
func (f *F) catchUp(ctx context.Context) {
	pipelines, err := f.deps.States.Configured(ctx)
	if err == nil {
		err = f.reconcile(ctx, pipelines...)
	}
	if err != nil && ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, "runs cannot be polled; the next tick polls them again", "error", err)
	}
}

// dispatch starts one follower a run.
func (f *F) dispatch(ctx context.Context) {
	following := map[string]bool{}
	done := make(chan string)
	follow := func(l launched) {
		if following[l.name()] {
			return
		}
		following[l.name()] = true
		f.followed.Go(func() {
			// The next sweep retries.
			if err := f.follow(ctx, l); err != nil && !errors.Is(err, errNotOurs) && ctx.Err() == nil {
				f.deps.Logger.ErrorContext(ctx, "a run cannot be followed; trying again", "pipeline", l.pipeline, "run", l.run, "error", err)
			}
			select {
			case done <- l.name():
			case <-ctx.Done():
			}
		})
	}
	f.tidy(ctx)
	f.sweep(ctx, follow)
	sweep := time.NewTicker(f.cfg.Sweep)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-f.launched:
			follow(l)
		case name := <-done:
			delete(following, name)
		case <-sweep.C:
			f.sweep(ctx, follow)
		}
	}
}

// sweep finds the runs of all pipelines that have started and not ended.
func (f *F) sweep(ctx context.Context, follow func(launched)) {
	pipelines, err := f.deps.States.Configured(ctx)
	if err != nil {
		if ctx.Err() == nil {
			f.deps.Logger.WarnContext(ctx, "runs cannot be listed; trying again", "error", err)
		}
		return
	}
	for _, p := range pipelines {
		for _, r := range p.Runs {
			if r.Status == state.RunStarted {
				follow(launched{pipeline: p.Name, run: r.Run})
			}
		}
	}
}

// task is a run with what is needed to launch it and to report on it.
type task struct {
	pipeline string
	run      *state.Run
	// started is the header of the training.started.
	started events.Header
	// config and dir are those at the time the run was started.
	config *config.Pipeline
	dir    string
	folder runner.Folder
}

// errNotOurs says that there is nothing to do about a run: its end is in the log
// already, or it was imported from another system, which follows it.
var errNotOurs = errors.New("the run is not ours to follow")

// task loads a launched run. It returns errNotOurs if there is nothing to do
// about it.
func (f *F) task(ctx context.Context, l launched) (*task, error) {
	p, err := f.deps.States.Load(ctx, l.pipeline)
	if err != nil {
		return nil, err
	}
	run := p.Run(l.run)
	if run == nil || run.Status != state.RunStarted {
		return nil, errNotOurs
	}
	if l.header.ID == "" {
		e, ok, err := f.deps.Log.Find(ctx, l.pipeline, run.Event)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("the log does not have the event %s that started the run", run.Event)
		}
		l.header = e.Header
	}
	if l.header.Imported() {
		return nil, errNotOurs
	}
	t := &task{
		pipeline: l.pipeline, run: run, started: l.header, config: p.Config, dir: p.Configured.Dir,
		folder: runner.Folder(filepath.Join(f.runs, l.pipeline, l.run)),
	}
	if p.Configured.Digest != run.Config {
		then, err := f.deps.States.LoadAt(ctx, l.pipeline, state.At{Sequence: l.header.Sequence})
		if err != nil {
			return nil, err
		}
		if then.Config == nil || then.Config.Spec.Train == nil {
			return nil, fmt.Errorf("the log does not have the configuration %s of the run", events.Short(run.Config))
		}
		t.config, t.dir = then.Config, then.Configured.Dir
	}
	if f.cluster != nil {
		return t, nil // the image has the trainer
	}
	t.dir, err = filepath.Abs(t.dir)
	return t, err
}

// follow launches the run if it is not launched yet, waits for its end, and
// collects its output.
func (f *F) follow(ctx context.Context, l launched) error {
	t, err := f.task(ctx, l)
	if err != nil {
		return err
	}
	underWay := f.metrics.underWay.WithLabelValues(t.pipeline)
	underWay.Inc()
	defer underWay.Dec()
	metrics := result.NewMetrics(t.folder.Metrics())
	end, err := f.await(ctx, t, metrics)
	if u, ok := errors.AsType[*unlaunchable](err); ok {
		if err := f.end(ctx, t, events.TrainingFailed{Run: t.run.Run, Reason: u.Error(), Hint: u.hint}); err != nil {
			return err
		}
		f.clear(ctx, t)
		return nil
	}
	if err != nil {
		return err
	}
	return f.collect(ctx, t, end, metrics.Last())
}

// unlaunchable says why a run can never be launched.
type unlaunchable struct{ reason, hint string }

func (u *unlaunchable) Error() string { return u.reason }

// maxLaunches is how often a runner is started that leaves no result. (A runner
// counts attempts and leaves a result after the last.)
const maxLaunches = 5

// await returns the result of the run. It starts a runner if none is active, and
// another one if that dies.
func (f *F) await(ctx context.Context, t *task, metrics *result.Metrics) (runner.Result, error) {
	tick := time.NewTicker(f.cfg.Poll)
	defer tick.Stop()
	var ended <-chan struct{} // of a runner that this process started
	for launches := 0; ; {
		// The lock before the result: a runner leaves them in the other order.
		pid, err := t.folder.Runner()
		if err != nil {
			return runner.Result{}, err
		}
		result, ok, err := t.folder.Result()
		if err != nil || ok && pid == 0 {
			return result, err
		}
		if !ok && pid == 0 && ended == nil {
			if err := f.pauseBefore(ctx, t, launches); err != nil {
				return runner.Result{}, err
			}
			// Another launcher may have collected the run and removed its folder;
			// the log has the run's end then.
			if _, err := f.task(ctx, launched{t.pipeline, t.run.Run, t.started}); err != nil {
				return runner.Result{}, err
			}
			if ended, err = f.launch(ctx, t); err != nil {
				return runner.Result{}, fmt.Errorf("launch run %s: %w", t.run.Run, err)
			}
			launches++
		}
		select {
		case <-ctx.Done():
			return runner.Result{}, ctx.Err()
		case <-ended:
			ended = nil
		case now := <-tick.C:
			f.emitProgress(ctx, t, metrics, now)
		}
	}
}

// pauseBefore waits between launches that leave no result. After maxLaunches it
// returns an *unlaunchable.
func (f *F) pauseBefore(ctx context.Context, t *task, launches int) error {
	switch launches {
	case 0:
		return nil
	case maxLaunches:
		return &unlaunchable{
			fmt.Sprintf("the runner ended %d times and left no result: %s", launches, t.lastRunnerLine()),
			"the disk may be full, or the working folder of the train launcher cannot be written",
		}
	}
	timer := time.NewTimer(f.cfg.Backoff << (launches - 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
