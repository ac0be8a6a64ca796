package trainlauncher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/state"
)

// collect puts what a run left into the artifact store and emits its end.
// It is idempotent: after a crash it puts the same bytes and emits the same
// event.
func (f *F) collect(ctx context.Context, t *task, end runner.Result, metrics map[string]float64) error {
	data, err := result.Of(ctx, f.deps.Artifacts, t.config, t.run.Run, t.folder, end, metrics)
	if err != nil {
		return err
	}
	if err := f.end(ctx, t, data); err != nil {
		return err
	}
	f.clear(ctx, t)
	return nil
}

// end emits how a run has ended.
func (f *F) end(ctx context.Context, t *task, data events.Data) error {
	failpoint.Hit("collect.before")
	if err := f.emit(ctx, t, data); err != nil {
		return err
	}
	failpoint.Hit("collect.after")
	switch d := data.(type) {
	case events.TrainingCompleted:
		f.metrics.seconds.WithLabelValues(t.pipeline, "completed").Observe(d.Seconds)
		f.deps.Logger.InfoContext(ctx, "a run has ended", "pipeline", t.pipeline, "run", t.run.Run, "seconds", d.Seconds)
	case events.TrainingFailed:
		f.metrics.seconds.WithLabelValues(t.pipeline, "failed").Observe(d.Seconds)
		f.deps.Logger.WarnContext(ctx, "a run has failed", "pipeline", t.pipeline, "run", t.run.Run, "reason", d.Reason)
	}
	return nil
}

// emit appends an event of a run to the log. The cause follows from the data:
// announced twice, or by two processes, the event is in the log once.
func (f *F) emit(ctx context.Context, t *task, d events.Data) error {
	_, err := f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: t.pipeline, Function: Name, Parent: t.started, Data: []events.Data{d}})
	return err
}

// emitProgress emits the run's progress, if there is any. An event that
// cannot be emitted is dropped.
func (f *F) emitProgress(ctx context.Context, t *task, metrics *result.Metrics, now time.Time) {
	d, ok := metrics.Progress(t.run.Run, now, t.run.Started)
	if !ok {
		return
	}
	if err := f.emit(ctx, t, d); err != nil && ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, "progress cannot be emitted", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// clear removes the run's folder and split after its end: what is kept is in the
// artifact store by then. An error costs only disk space.
func (f *F) clear(ctx context.Context, t *task) {
	if err := errors.Join(os.RemoveAll(string(t.folder)), os.RemoveAll(f.splitFile(t.run.Key))); err != nil {
		f.deps.Logger.WarnContext(ctx, "the folder of a run cannot be removed", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// oldSplit is the age at which no pending decision can use a split any more.
const oldSplit = 24 * time.Hour

// tidy removes what killed processes left: folders of runs that have ended or
// that are not in the log, and old splits.
func (f *F) tidy(ctx context.Context) {
	folders, err := filepath.Glob(filepath.Join(f.runs, "*", "*"))
	for _, folder := range folders {
		pipeline, run := filepath.Base(filepath.Dir(folder)), filepath.Base(folder)
		p, loadErr := f.deps.States.Load(ctx, pipeline)
		if loadErr != nil {
			err = errors.Join(err, loadErr)
			continue
		}
		if r := p.Run(run); r != nil && r.Status == state.RunStarted {
			continue
		}
		if pid, runnerErr := runner.Folder(folder).Runner(); pid == 0 {
			err = errors.Join(err, runnerErr, os.RemoveAll(folder))
		}
	}
	splits, globErr := filepath.Glob(f.splitFile("*"))
	for _, split := range splits {
		if info, statErr := os.Stat(split); statErr == nil && time.Since(info.ModTime()) > oldSplit {
			err = errors.Join(err, os.Remove(split))
		}
	}
	if err = errors.Join(err, globErr); err != nil && ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, "folders of ended runs cannot be removed", "error", err)
	}
}
