package outcome

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/signature"
	"millrace.dev/shared/artifact"
)

// modelFile is what a trainer has to leave.
const modelFile = "model.onnx"

// Of puts what a run left into the store and gives the event that tells of its
// end: events.TrainingCompleted, or events.TrainingFailed where there is no
// model of the pipeline. Done again it puts the same bytes and says the same.
// An error is the store's or the folder's, and the run has not ended for it.
func Of(ctx context.Context, store *artifact.Store, p *config.Pipeline, run string, folder runner.Folder, end runner.Result, said map[string]float64) (events.Data, error) {
	log, err := store.PutFile(ctx, folder.Log(), ".log", false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the log of run %s: %w", run, err)
	}
	if !end.OK {
		return failed(run, end, log), nil
	}
	names, err := left(folder.Output())
	if err != nil {
		return nil, err
	}
	model, problem := modelOf(p, folder.Output(), names)
	if problem != nil {
		end.Reason, end.Hint = problem.reason, problem.hint
		return failed(run, end, log), nil
	}
	done := events.TrainingCompleted{Run: run, Log: log, Metrics: said, Attempts: end.Attempts, Seconds: end.Seconds}
	var modelFiles []events.File
	for _, name := range names {
		// Not moved: a crash before the announcement must find it again.
		ref, err := store.PutFile(ctx, filepath.Join(folder.Output(), name), strings.ToLower(filepath.Ext(name)), false)
		if err != nil {
			return nil, fmt.Errorf("keep %s of run %s: %w", name, run, err)
		}
		file := events.File{Name: filepath.ToSlash(name), Ref: ref}
		if slices.Contains(model, name) {
			modelFiles = append(modelFiles, file)
		} else {
			done.Files = append(done.Files, file)
		}
	}
	done.Model = events.NewModel(modelFiles)
	return done, nil
}

func failed(run string, end runner.Result, log events.Ref) events.TrainingFailed {
	return events.TrainingFailed{
		Run: run, Reason: end.Reason, Hint: end.Hint, LogTail: end.LogTail, Log: log,
		ExitCode: end.ExitCode, Attempts: end.Attempts, Seconds: end.Seconds,
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

// modelOf says which of the files in dir are the model, or why there is none.
func modelOf(p *config.Pipeline, dir string, names []string) ([]string, *problem) {
	if !slices.Contains(names, modelFile) {
		p := &problem{"the trainer ended well but left no model.onnx in MILLRACE_OUTPUT", "write the model to the folder that MILLRACE_OUTPUT names"}
		if len(names) > 0 {
			p.reason += "; it left " + strings.Join(names[:min(5, len(names))], ", ")
		}
		return nil, p
	}
	s, err := signature.ReadFile(filepath.Join(dir, modelFile))
	if err != nil {
		return nil, &problem{fmt.Sprintf("the model.onnx that the trainer left can't be used: %v", err), "look at how the trainer exports its model"}
	}
	if err := s.Check(p.Features()); err != nil {
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
