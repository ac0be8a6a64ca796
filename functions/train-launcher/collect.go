package trainlauncher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/outcome"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/state"
)

// collect puts what a run left into the artifact store and announces its end.
// Done again after a crash, it puts the same bytes and says the same.
func (f *F) collect(ctx context.Context, t *task, end runner.Result, said map[string]float64) error {
	data, err := outcome.Of(ctx, f.deps.Artifacts, t.config, t.run.Run, t.folder, end, said)
	if err != nil {
		return err
	}
	if err := f.end(ctx, t, data); err != nil {
		return err
	}
	f.clear(ctx, t)
	return nil
}

// end announces how a run has ended.
func (f *F) end(ctx context.Context, t *task, data events.Data) error {
	failpoint.Hit("collect.before")
	if err := f.announce(ctx, t, data); err != nil {
		return err
	}
	failpoint.Hit("collect.after")
	switch d := data.(type) {
	case events.TrainingCompleted:
		f.measures.seconds.WithLabelValues(t.pipeline, "completed").Observe(d.Seconds)
		f.deps.Logger.InfoContext(ctx, "a run has ended", "pipeline", t.pipeline, "run", t.run.Run, "seconds", d.Seconds)
	case events.TrainingFailed:
		f.measures.seconds.WithLabelValues(t.pipeline, "failed").Observe(d.Seconds)
		f.deps.Logger.WarnContext(ctx, "a run has failed", "pipeline", t.pipeline, "run", t.run.Run, "reason", d.Reason)
	}
	return nil
}

// announce puts what became of a run into the log. Its data makes its own
// cause: said twice, or by two, it stands there once.
func (f *F) announce(ctx context.Context, t *task, d events.Data) error {
	_, err := f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: t.pipeline, Function: Name, Parent: t.started, Data: []events.Data{d}})
	return err
}

// tell announces the run's progress, if there is some. What can't be announced
// is not missed.
func (f *F) tell(ctx context.Context, t *task, said *outcome.Metrics, now time.Time) {
	d, ok := said.Progress(t.run.Run, now, t.run.Started)
	if !ok {
		return
	}
	if err := f.announce(ctx, t, d); err != nil && ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, "progress can't be announced", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// clear removes what is of no use after a run's end: all that is kept is in
// the artifact store by then. What can't be removed costs space and no more.
func (f *F) clear(ctx context.Context, t *task) {
	if err := errors.Join(os.RemoveAll(string(t.folder)), os.RemoveAll(f.cutFile(t.run.Key))); err != nil {
		f.deps.Logger.WarnContext(ctx, "what a run left can't be removed", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// oldCut is when a cut is of no use to any decision that is still being made.
const oldCut = 24 * time.Hour

// tidy removes what processes left that were killed before they could: folders
// of runs that have ended, or that the log does not know, and old cuts.
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
	cuts, globErr := filepath.Glob(f.cutFile("*"))
	for _, cut := range cuts {
		if info, statErr := os.Stat(cut); statErr == nil && time.Since(info.ModTime()) > oldCut {
			err = errors.Join(err, os.Remove(cut))
		}
	}
	if err = errors.Join(err, globErr); err != nil && ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, "what ended runs left can't be removed", "error", err)
	}
}
