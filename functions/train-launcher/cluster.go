package trainlauncher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/functions/train-launcher/runspec"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Launcher runs trainings on a cluster. It is safe for concurrent use.
type Launcher interface {
	// Launch starts the run. It is idempotent, also across processes. A
	// *runspec.Refused says that the run can never be launched.
	Launch(ctx context.Context, r runspec.Run) error
	// Poll returns how far the run is.
	Poll(ctx context.Context, pipeline, run string) (runspec.Status, error)
	// Remove deletes the run's objects. It is not an error if the run has no objects.
	Remove(ctx context.Context, pipeline, run string) error
}

// Cluster runs trainings outside this machine.
type Cluster struct {
	// Launchers are keyed by train.runtime.
	Launchers map[string]Launcher
	// Image resolves the name to an image by digest, unless tags are trusted. A
	// *runspec.Refused says that there is no such image.
	Image func(ctx context.Context, name string) (string, error)
}

// NewOn makes the function for a cluster. It starts no process and needs no
// runner. It can scale to zero while a run is under way: a pod reports its end
// itself, and an event about its Job wakes the function for one that could not.
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

// trainer returns the digest of a run's code and the runtime that runs it.
func (f *F) trainer(ctx context.Context, p *state.Pipeline) (code, runtime string, err error) {
	if p.Configured.Imported {
		return "", "", fmt.Errorf("%w: the pipeline's configuration came with an import; configure %s here, from its folder", errNoTrainer, p.Name)
	}
	if f.cluster == nil {
		code, err := trainerCode(p.Configured.Dir)
		return code, processRuntime, err
	}
	train := p.Config.Spec.Train
	if train.Image == "" {
		return "", "", noTrainer("train.image is missing: on a cluster the trainer runs in an image")
	}
	if f.cluster.Launchers[train.Runtime] == nil {
		return "", "", noTrainer("this installation does not support train.runtime " + train.Runtime)
	}
	code, err = f.cluster.Image(ctx, train.Image)
	if r, ok := errors.AsType[*runspec.Refused](err); ok {
		err = noTrainer(r.Reason + "; " + r.Hint)
	}
	return code, train.Runtime, err
}

// noTrainer is errNoTrainer on a cluster: why there is no trainer there.
type noTrainer string

func (e noTrainer) Error() string        { return string(e) }
func (e noTrainer) Is(target error) bool { return target == errNoTrainer }

// launchOn launches a started run on the cluster and waits for its pod to begin:
// an image that cannot be pulled does not end a Job by itself. A second delivery
// finds what the first one launched.
func (f *F) launchOn(ctx context.Context, e events.Event[events.TrainingStarted], p *state.Pipeline) ([]events.Data, error) {
	s, err := f.poll(ctx, launched{pipeline: p.Name, run: e.Data.Run, header: e.Header})
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

// pendingPause returns how long to wait before the next poll of a pod that has
// been pending for age: short at first, when an image may turn out to be missing,
// longer in a queue.
func pendingPause(age time.Duration) time.Duration {
	return min(max(5*time.Second, age/2), 15*time.Minute)
}

// jobChanged is the event of an ApiServerSource about a Job. It has only the
// Job's name, so the Job has to be read.
type jobChanged struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (jobChanged) EventType() string      { return "dev.knative.apiserver.ref.update" }
func (j jobChanged) EventSubject() string { return "job/" + j.Name }
func (jobChanged) Validate() error        { return nil }

// jobChanged polls the runs of the cluster that have not ended, since the Job may
// belong to one of them: each pipeline has at most one. The event belongs to no
// pipeline, so what follows from it has the run's own cause.
func (f *F) jobChanged(ctx context.Context, e events.Event[jobChanged], _ *state.Pipeline) ([]events.Data, error) {
	if f.cluster == nil || e.Data.Kind != "Job" {
		return function.Nothing("runs here are not of the kind %s", e.Data.Kind)
	}
	all, err := f.deps.States.Configured(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.reconcile(ctx, all...); err != nil {
		return nil, err
	}
	return function.Nothing("the runs under way were polled")
}

// reconcile polls every run of the pipelines that has not ended. An error of one
// run does not keep it from polling the others.
func (f *F) reconcile(ctx context.Context, pipelines ...*state.Pipeline) error {
	if f.cluster == nil {
		return nil
	}
	var errs []error
	for _, p := range pipelines {
		for _, r := range p.Runs {
			if r.Status != state.RunStarted {
				continue
			}
			if _, err := f.poll(ctx, launched{pipeline: p.Name, run: r.Run}); err != nil && !errors.Is(err, errNotOurs) {
				errs = append(errs, fmt.Errorf("poll run %s: %w", r.Run, err))
			}
		}
	}
	return errors.Join(errs...)
}

// poll launches the run if the cluster does not have it, and emits its end if
// it has ended without reporting it.
func (f *F) poll(ctx context.Context, l launched) (runspec.Status, error) {
	t, err := f.task(ctx, l)
	if err != nil {
		return runspec.Status{}, err
	}
	launcher := f.cluster.Launchers[t.run.Runtime]
	if launcher == nil {
		return f.failed(ctx, t, runspec.End{Reason: fmt.Sprintf("the run was started with train.runtime %s, which this installation does not support", t.run.Runtime)})
	}
	s, err := launcher.Poll(ctx, t.pipeline, t.run.Run)
	if err != nil {
		return s, err
	}
	if s.End != nil {
		return f.endUnlessReported(ctx, t, launcher, *s.End)
	}
	if s.Found {
		return s, nil
	}
	r, err := f.putSpec(ctx, t)
	if err == nil {
		err = launcher.Launch(ctx, r)
	}
	if refused, ok := errors.AsType[*runspec.Refused](err); ok {
		return f.failed(ctx, t, runspec.End{Reason: refused.Reason, Hint: refused.Hint})
	}
	if u, ok := errors.AsType[*unlaunchable](err); ok {
		return f.failed(ctx, t, runspec.End{Reason: u.reason, Hint: u.hint})
	}
	if err != nil {
		return s, fmt.Errorf("launch run %s: %w", t.run.Run, err)
	}
	f.deps.Logger.InfoContext(ctx, "a run was launched", "pipeline", t.pipeline, "run", t.run.Run, "runtime", t.run.Runtime)
	f.removePrevious(ctx, t, launcher)
	return runspec.Status{Found: true}, nil
}

// putSpec writes the run's spec to the artifact store, where its pod reads it.
func (f *F) putSpec(ctx context.Context, t *task) (runspec.Run, error) {
	var files []events.File
	if err := f.readJSON(ctx, t.run.Train, &files); err != nil {
		return runspec.Run{}, lost(fmt.Errorf("read the manifest of the train part: %w", err))
	}
	job, err := f.job(t)
	if err != nil {
		return runspec.Run{}, err
	}
	if t.run.Runtime == trainJobRuntime {
		job.Retries = 0 // one of several pods cannot restart alone
	}
	text, err := json.Marshal(runspec.Spec{Pipeline: t.pipeline, Started: t.started, Job: job, Data: files})
	if err != nil {
		return runspec.Run{}, err
	}
	ref, err := f.deps.Artifacts.PutBytes(ctx, text, ".json")
	return runspec.Run{
		Pipeline: t.pipeline, Run: t.run.Run, Key: t.run.Key, Image: t.run.Code, Train: t.config.Spec.Train, Spec: ref,
	}, err
}

// removePrevious deletes the TrainJob of the pipeline's previous run, which is
// kept until the next run for inspection. (Kubernetes deletes a Job by its TTL.)
func (f *F) removePrevious(ctx context.Context, t *task, launcher Launcher) {
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
		f.deps.Logger.WarnContext(ctx, "the previous run cannot be removed from the cluster", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// endUnlessReported emits the end of a run that has ended according to the
// cluster, unless the run has reported it. It does so before its pod ends, so the
// log is read again.
func (f *F) endUnlessReported(ctx context.Context, t *task, launcher Launcher, e runspec.End) (runspec.Status, error) {
	if _, err := f.task(ctx, launched{t.pipeline, t.run.Run, t.started}); err != nil {
		return runspec.Status{}, err
	}
	if e.OK {
		e.Reason, e.Hint = "the run's pod succeeded but did not report a result", "read its log, if it still exists"
	}
	s, err := f.failed(ctx, t, e)
	if err == nil && e.Trying {
		err = launcher.Remove(ctx, t.pipeline, t.run.Run)
	}
	return s, err
}

// failed emits the failure of a run that did not report it, with the last
// known lines of its log.
func (f *F) failed(ctx context.Context, t *task, e runspec.End) (runspec.Status, error) {
	if e.LogTail == "" {
		tail, err := result.Tail(ctx, f.deps.Log, t.pipeline, t.run.Run)
		if err != nil {
			return runspec.Status{}, err
		}
		e.LogTail = tail
	}
	return runspec.Status{End: &e}, f.end(ctx, t, events.TrainingFailed{
		Run: t.run.Run, Reason: e.Reason, Hint: e.Hint, LogTail: e.LogTail, ExitCode: e.ExitCode, Attempts: e.Attempts,
		Seconds: time.Since(t.run.Started).Seconds(),
	})
}
