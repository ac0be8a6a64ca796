package trainlauncher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/signature"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/state"
)

// modelFile is what a trainer has to leave.
const modelFile = "model.onnx"

// collect puts what a run left into the artifact store and announces its end.
// Done again after a crash, it puts the same bytes and says the same.
func (f *F) collect(ctx context.Context, t *task, end runner.Result, said map[string]float64) error {
	log, err := f.deps.Artifacts.PutFile(ctx, t.folder.Log(), ".log", false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the log of run %s: %w", t.run.Run, err)
	}
	if !end.OK {
		return f.fail(ctx, t, end, log)
	}
	names, err := left(t.folder.Output())
	if err != nil {
		return err
	}
	model, problem := t.model(names)
	if problem != nil {
		end.Reason, end.Hint = problem.reason, problem.hint
		return f.fail(ctx, t, end, log)
	}
	done := events.TrainingCompleted{Run: t.run.Run, Log: log, Metrics: said, Attempts: end.Attempts, Seconds: end.Seconds}
	var modelFiles []events.File
	for _, name := range names {
		// Not moved: a crash before the announcement must find it again.
		ref, err := f.deps.Artifacts.PutFile(ctx, filepath.Join(t.folder.Output(), name), strings.ToLower(filepath.Ext(name)), false)
		if err != nil {
			return fmt.Errorf("keep %s of run %s: %w", name, t.run.Run, err)
		}
		file := events.File{Name: filepath.ToSlash(name), Ref: ref}
		if slices.Contains(model, name) {
			modelFiles = append(modelFiles, file)
		} else {
			done.Files = append(done.Files, file)
		}
	}
	done.Model = events.NewModel(modelFiles)
	failpoint.Hit("collect.before")
	if err := f.announce(ctx, t, done); err != nil {
		return err
	}
	failpoint.Hit("collect.after")
	f.measures.seconds.WithLabelValues(t.pipeline, "completed").Observe(end.Seconds)
	f.deps.Logger.InfoContext(ctx, "a run has ended", "pipeline", t.pipeline, "run", t.run.Run, "seconds", end.Seconds)
	f.clear(ctx, t)
	return nil
}

// fail announces that a run has ended without a model.
func (f *F) fail(ctx context.Context, t *task, end runner.Result, log events.Ref) error {
	err := f.announce(ctx, t, events.TrainingFailed{
		Run: t.run.Run, Reason: end.Reason, Hint: end.Hint, LogTail: end.LogTail, Log: log,
		ExitCode: end.ExitCode, Attempts: end.Attempts, Seconds: end.Seconds,
	})
	if err != nil {
		return err
	}
	f.measures.seconds.WithLabelValues(t.pipeline, "failed").Observe(end.Seconds)
	f.deps.Logger.WarnContext(ctx, "a run has failed", "pipeline", t.pipeline, "run", t.run.Run, "reason", end.Reason)
	f.clear(ctx, t)
	return nil
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

// left lists the files in an output folder, in order: regular ones alone,
// since a link could bring in any file of the machine.
func left(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the trainer's output: %w", err)
	}
	return names, nil
}

// problem is what is wrong with what a trainer left.
type problem struct{ reason, hint string }

// model says which of the files are the model, or why there is none.
func (t *task) model(names []string) ([]string, *problem) {
	if !slices.Contains(names, modelFile) {
		p := &problem{"the trainer ended well but left no model.onnx in MILLRACE_OUTPUT", "write the model to the folder that MILLRACE_OUTPUT names"}
		if len(names) > 0 {
			p.reason += "; it left " + strings.Join(names[:min(5, len(names))], ", ")
		}
		return nil, p
	}
	s, err := signature.ReadFile(filepath.Join(t.folder.Output(), modelFile))
	if err != nil {
		return nil, &problem{fmt.Sprintf("the model.onnx that the trainer left can't be used: %v", err), "look at how the trainer exports its model"}
	}
	if err := s.Check(t.config.Features()); err != nil {
		return nil, &problem{
			"the model's inputs are not those of the pipeline: " + strings.ReplaceAll(err.Error(), "\n", "; "),
			"give the model one input of shape [N, 1] for each of model.features, named like it, or one float matrix of all",
		}
	}
	model := []string{modelFile}
	for _, name := range s.External {
		name = filepath.FromSlash(name)
		if !slices.Contains(names, filepath.Clean(name)) {
			return nil, &problem{fmt.Sprintf("the model keeps weights in %q, which is no file beside it", name), "write the model and its weights into MILLRACE_OUTPUT itself"}
		}
		model = append(model, filepath.Clean(name))
	}
	return model, nil
}
