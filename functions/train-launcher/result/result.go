package result

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/signature"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/onnxfile"
)

// modelFile is the file that a trainer has to write.
const modelFile = "model.onnx"

// Of puts the output of a run into the store and returns the event of its end:
// events.TrainingCompleted, or events.TrainingFailed if there is no model that
// fits the pipeline. It is idempotent. An error is one of the store or the folder
// and does not mean that the run failed.
func Of(ctx context.Context, store *artifact.Store, p *config.Pipeline, run string, folder runner.Folder, end runner.Result, metrics map[string]float64) (events.Data, error) {
	log, err := keep(ctx, store, folder, filepath.Base(folder.Log()), ".log")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && end.OK {
		done := events.TrainingCompleted{Run: run, Log: log, Metrics: metrics, Attempts: end.Attempts, Seconds: end.Seconds}
		if err = complete(ctx, store, p, folder, &done); err == nil {
			return done, nil
		}
	}
	if s, ok := errors.AsType[*runner.SpoiledError](err); ok {
		r := s.Result()
		err = &problem{r.Reason, r.Hint}
	}
	what, ok := errors.AsType[*problem](err)
	switch {
	case err != nil && !ok:
		return nil, fmt.Errorf("keep what run %s left: %w", run, err)
	case end.OK:
		end.Reason, end.Hint = what.reason, what.hint
	}
	return failed(run, end, log), nil
}

// complete keeps the model and what is beside it. The error is a *problem
// where there is no model of the pipeline.
func complete(ctx context.Context, store *artifact.Store, p *config.Pipeline, folder runner.Folder, done *events.TrainingCompleted) error {
	names, other, err := folder.Files()
	if err != nil {
		return err
	}
	model, err := modelOf(p, folder, names, other)
	if err != nil {
		return err
	}
	var modelFiles []events.File
	for _, name := range names {
		// Not moved: a crash before the event must find it again.
		ref, err := keep(ctx, store, folder, inOutput(folder, name), strings.ToLower(path.Ext(name)))
		if err != nil {
			return err
		}
		file := events.File{Name: name, Ref: ref}
		if slices.Contains(model, name) {
			modelFiles = append(modelFiles, file)
		} else {
			done.Files = append(done.Files, file)
		}
	}
	done.Model = events.NewModel(modelFiles)
	return nil
}

// keep puts a file of the run's folder into the store.
func keep(ctx context.Context, store *artifact.Store, folder runner.Folder, name, suffix string) (events.Ref, error) {
	file, err := folder.Open(name)
	if err != nil {
		return events.Ref{}, err
	}
	defer file.Close()
	return store.PutOpen(ctx, file, suffix)
}

// inOutput is the name in the run's folder of a file of its output.
func inOutput(folder runner.Folder, name string) string {
	return path.Join(filepath.Base(folder.Output()), name)
}

func failed(run string, end runner.Result, log events.Ref) events.TrainingFailed {
	return events.TrainingFailed{
		Run: run, Reason: end.Reason, Hint: end.Hint, LogTail: end.LogTail, Log: log,
		ExitCode: end.ExitCode, Attempts: end.Attempts, Seconds: end.Seconds,
	}
}

// problem is what is wrong with the output of a trainer.
type problem struct{ reason, hint string }

func (p *problem) Error() string { return p.reason }

// modelOf returns which of the files in the output are the model, or why none is;
// other is an error about something in the output that is not a file.
func modelOf(p *config.Pipeline, folder runner.Folder, names []string, other error) ([]string, error) {
	if !slices.Contains(names, modelFile) {
		p := &problem{"the trainer succeeded but left no model.onnx in MILLRACE_OUTPUT", "write the model to the folder that MILLRACE_OUTPUT names"}
		if len(names) > 0 {
			p.reason += "; it left " + strings.Join(names[:min(5, len(names))], ", ")
		}
		if other != nil {
			p.reason += "; " + other.Error()
		}
		return nil, p
	}
	file, err := folder.Open(inOutput(folder, modelFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s, err := onnxfile.ReadOpen(file)
	if err != nil {
		return nil, &problem{fmt.Sprintf("the model.onnx that the trainer left cannot be used: %v", err), "check how the trainer exports its model"}
	}
	if err := signature.Check(s, p.Features()); err != nil {
		return nil, &problem{
			"the model's inputs are not those of the pipeline: " + strings.ReplaceAll(err.Error(), "\n", "; "),
			"give the model one input of shape [N, 1] for each of model.features, named like it, or one float matrix of all",
		}
	}
	model := []string{modelFile}
	for _, name := range s.DataFiles() {
		if !slices.Contains(names, path.Clean(name)) {
			return nil, &problem{fmt.Sprintf("the model keeps weights in %q, which is not a file beside it", name), "write the model and its weights into MILLRACE_OUTPUT itself"}
		}
		model = append(model, path.Clean(name))
	}
	return model, nil
}
