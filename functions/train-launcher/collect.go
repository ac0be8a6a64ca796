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

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/signature"
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
	if err := f.announce(ctx, t, done); err != nil {
		return err
	}
	f.deps.Logger.InfoContext(ctx, "a run has ended", "pipeline", t.pipeline, "run", t.run.Run, "seconds", end.Seconds)
	return f.clear(t)
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
	f.deps.Logger.WarnContext(ctx, "a run has failed", "pipeline", t.pipeline, "run", t.run.Run, "reason", end.Reason)
	return f.clear(t)
}

// clear removes what is of no use after a run's end: all that is kept is in
// the artifact store by then.
func (f *F) clear(t *task) error {
	return errors.Join(os.RemoveAll(string(t.folder)), os.RemoveAll(f.cutFile(t.run.Key)))
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
