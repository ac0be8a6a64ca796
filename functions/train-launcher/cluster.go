package trainlauncher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/order"
	"millrace.dev/functions/train-launcher/outcome"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Launcher has runs carried out on a cluster. It is safe for concurrent use.
type Launcher interface {
	// Launch has the run carried out. Done again, by whomever, it changes
	// nothing. An *order.Refused says that it never will be.
	Launch(ctx context.Context, r order.Run) error
	// Look tells how far the run is.
	Look(ctx context.Context, pipeline, run string) (order.Status, error)
	// Remove removes what is there of the run, if anything is.
	Remove(ctx context.Context, pipeline, run string) error
}

// Cluster is where runs are carried out that are no processes of this machine.
type Cluster struct {
	// Launchers are those there are, by train.runtime.
	Launchers map[string]Launcher
	// Image gives the image that the name means now, by its digest unless tags
	// are trusted. An *order.Refused says that it can't be had.
	Image func(ctx context.Context, name string) (string, error)
}

// NewOn makes the function for a cluster. It starts no process and needs no
// runner. Nothing of it has to stay awake while a run is under way: a pod tells
// the end itself, and what the cluster tells of its Jobs wakes the function for
// those that could not.
func NewOn(cfg Config, deps function.Deps, on Cluster) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f, err := newFunction(cfg, deps)
	if err != nil {
		return nil, err
	}
	f.cluster = &on
	return f, nil
}

// The runtimes of runs that are processes of this machine, and that are of
// several pods.
const (
	processRuntime  = "process"
	trainJobRuntime = "trainjob"
)

// trainer says what a run's code is, and what carries it out.
func (f *F) trainer(ctx context.Context, p *state.Pipeline) (code, runtime string, err error) {
	if f.cluster == nil {
		code, err := trainerCode(p.Configured.Dir)
		return code, processRuntime, err
	}
	train := p.Config.Spec.Train
	if train.Image == "" {
		return "", "", noTrainer("train.image is missing: on a cluster the trainer runs in an image")
	}
	if f.cluster.Launchers[train.Runtime] == nil {
		return "", "", noTrainer("nothing here carries out train.runtime " + train.Runtime)
	}
	code, err = f.cluster.Image(ctx, train.Image)
	if r, ok := errors.AsType[*order.Refused](err); ok {
		err = noTrainer(r.Reason + "; " + r.Hint)
	}
	return code, train.Runtime, err
}

// noTrainer is errNoTrainer on a cluster: why there is no trainer there.
type noTrainer string

func (e noTrainer) Error() string        { return string(e) }
func (e noTrainer) Is(target error) bool { return target == errNoTrainer }

// launchOn has a run of the cluster launched that is in the log now, and waits
// for its pod to begin: an image that can't be pulled ends no Job by itself.
// A second delivery finds what the first one launched.
func (f *F) launchOn(ctx context.Context, e events.Event[events.TrainingStarted], p *state.Pipeline) ([]events.Data, error) {
	s, err := f.look(ctx, launched{pipeline: p.Name, run: e.Data.Run, header: e.Header})
	switch {
	case errors.Is(err, errNotOurs):
		return function.Nothing("run %s has ended", e.Data.Run)
	case err != nil:
		return nil, err
	case s.End != nil:
		return function.Nothing("run %s has ended: %s", e.Data.Run, s.End.Reason)
	case !s.Begun:
		return nil, function.Later(pendingPause(time.Since(e.Time)), fmt.Errorf("the pod of run %s has not begun yet", e.Data.Run))
	}
	return function.Nothing("run %s is under way", e.Data.Run)
}

// pendingPause is how long to wait before a pod is looked at again that has
// been coming for so long: often at first, when an image may turn out to be
// missing, and ever more seldom in a queue.
func pendingPause(age time.Duration) time.Duration {
	return min(max(5*time.Second, age/2), 15*time.Minute)
}

// jobChanged is what an ApiServerSource tells of a Job. It names the Job and no
// more: what has become of it is looked at.
type jobChanged struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (jobChanged) EventType() string      { return "dev.knative.apiserver.ref.update" }
func (j jobChanged) EventSubject() string { return "job/" + j.Name }
func (jobChanged) Validate() error        { return nil }

// jobChanged looks at the runs of the cluster that have not ended, of which the
// Job may be one: of each pipeline that is one run at most. It belongs to no
// pipeline, so what it leads to stands under the run's own cause.
func (f *F) jobChanged(ctx context.Context, e events.Event[jobChanged], _ *state.Pipeline) ([]events.Data, error) {
	if f.cluster == nil || e.Data.Kind != "Job" {
		return function.Nothing("no run here is a %s", e.Data.Kind)
	}
	all, err := f.deps.States.Configured(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.lookAfter(ctx, all...); err != nil {
		return nil, err
	}
	return function.Nothing("the runs under way were looked at")
}

// lookAfter looks at every run of the pipelines that has not ended. One that
// can't be looked at does not keep it from the others.
func (f *F) lookAfter(ctx context.Context, pipelines ...*state.Pipeline) error {
	if f.cluster == nil {
		return nil
	}
	var errs []error
	for _, p := range pipelines {
		for _, r := range p.Runs {
			if r.Status != state.RunStarted {
				continue
			}
			if _, err := f.look(ctx, launched{pipeline: p.Name, run: r.Run}); err != nil && !errors.Is(err, errNotOurs) {
				errs = append(errs, fmt.Errorf("look at run %s: %w", r.Run, err))
			}
		}
	}
	return errors.Join(errs...)
}

// look brings a run of the cluster on: launched if the cluster does not know
// it, ended in the log if it has ended without a word.
func (f *F) look(ctx context.Context, l launched) (order.Status, error) {
	t, err := f.task(ctx, l)
	if err != nil {
		return order.Status{}, err
	}
	launcher := f.cluster.Launchers[t.run.Runtime]
	if launcher == nil {
		return f.ended(ctx, t, order.End{Reason: fmt.Sprintf("the run was started as a %s, which nothing here carries out", t.run.Runtime)})
	}
	s, err := launcher.Look(ctx, t.pipeline, t.run.Run)
	if err != nil {
		return s, err
	}
	if s.End != nil {
		return f.lastWord(ctx, t, launcher, *s.End)
	}
	if s.Found {
		return s, nil
	}
	r, err := f.order(ctx, t)
	if err == nil {
		err = launcher.Launch(ctx, r)
	}
	var refused *order.Refused
	var lost *unlaunchable
	switch {
	case errors.As(err, &refused):
		return f.ended(ctx, t, order.End{Reason: refused.Reason, Hint: refused.Hint})
	case errors.As(err, &lost):
		return f.ended(ctx, t, order.End{Reason: lost.reason, Hint: lost.hint})
	case err != nil:
		return s, fmt.Errorf("launch run %s: %w", t.run.Run, err)
	}
	f.deps.Logger.InfoContext(ctx, "a run was launched", "pipeline", t.pipeline, "run", t.run.Run, "runtime", t.run.Runtime)
	f.forget(ctx, t, launcher)
	return order.Status{Found: true}, nil
}

// order keeps what the run is to do where its pod finds it.
func (f *F) order(ctx context.Context, t *task) (order.Run, error) {
	var files []events.File
	if err := f.readJSON(ctx, t.run.Train, &files); err != nil {
		return order.Run{}, lost(fmt.Errorf("read the manifest of the train part: %w", err))
	}
	job, err := f.job(t)
	if err != nil {
		return order.Run{}, err
	}
	if t.run.Runtime == trainJobRuntime {
		job.Retries = 0 // one of several pods can't begin again alone
	}
	text, err := json.Marshal(order.Order{Pipeline: t.pipeline, Started: t.started, Job: job, Data: files})
	if err != nil {
		return order.Run{}, err
	}
	ref, err := f.deps.Artifacts.PutBytes(ctx, text, ".json")
	return order.Run{
		Pipeline: t.pipeline, Run: t.run.Run, Key: t.run.Key, Image: t.run.Code, Train: t.config.Spec.Train, Order: ref,
	}, err
}

// forget removes the TrainJob of the pipeline's run before this one: people
// have had the time from one run to the next to look at it. (A Job goes by
// itself.)
func (f *F) forget(ctx context.Context, t *task, launcher Launcher) {
	if t.run.Runtime != trainJobRuntime {
		return
	}
	p, err := f.deps.States.Load(ctx, t.pipeline)
	if err == nil {
		i := slices.IndexFunc(p.Runs, func(r *state.Run) bool { return r.Run == t.run.Run }) - 1
		if i < 0 || p.Runs[i].Status == state.RunStarted || p.Runs[i].Runtime != trainJobRuntime {
			return
		}
		err = launcher.Remove(ctx, p.Name, p.Runs[i].Run)
	}
	if err != nil {
		f.deps.Logger.WarnContext(ctx, "what is left of the run before can't be removed", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// lastWord announces the end of a run that the cluster says has ended, unless
// the run has told it: it does so before its pod ends, so it is asked again.
func (f *F) lastWord(ctx context.Context, t *task, launcher Launcher, e order.End) (order.Status, error) {
	if _, err := f.task(ctx, launched{t.pipeline, t.run.Run, t.started}); err != nil {
		return order.Status{}, err
	}
	if e.OK {
		e.Reason, e.Hint = "the run's pod ended well, and nothing tells what it left", "look at its log, if it is still there"
	}
	s, err := f.ended(ctx, t, e)
	if err == nil && e.Trying {
		err = launcher.Remove(ctx, t.pipeline, t.run.Run)
	}
	return s, err
}

// ended announces that a run has failed without a word of its own, with the
// last lines that there are.
func (f *F) ended(ctx context.Context, t *task, e order.End) (order.Status, error) {
	if e.LogTail == "" {
		tails, err := outcome.OpenTails(ctx, f.deps.Log)
		if err == nil {
			e.LogTail, err = tails.Get(ctx, t.pipeline, t.run.Run)
		}
		if err != nil {
			return order.Status{}, fmt.Errorf("read the last lines of run %s: %w", t.run.Run, err)
		}
	}
	return order.Status{End: &e}, f.end(ctx, t, events.TrainingFailed{
		Run: t.run.Run, Reason: e.Reason, Hint: e.Hint, LogTail: e.LogTail, ExitCode: e.ExitCode, Attempts: e.Attempts,
		Seconds: time.Since(t.run.Started).Seconds(),
	})
}
