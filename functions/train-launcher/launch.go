package trainlauncher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/failpoint"
)

// launch starts a runner for the task and closes ended when it has ended. It is
// idempotent, also across processes: one runner gets the folder's lock, and the
// others end.
func (f *F) launch(ctx context.Context, t *task) (ended <-chan struct{}, err error) {
	failpoint.Hit("launch.before")
	if !t.folder.HasJob() {
		job, err := f.job(t)
		if err != nil {
			return nil, err
		}
		job.Dir = t.dir
		if job.Data, err = f.data(ctx, t); err != nil {
			return nil, err
		}
		if err := t.folder.Create(job); err != nil {
			return nil, err
		}
	}
	env, err := f.environment(t)
	if err != nil {
		return nil, err
	}
	runnerLog, err := t.folder.Append(filepath.Base(t.folder.RunnerLog()))
	if err != nil {
		return nil, err
	}
	defer runnerLog.Close()
	// It gets a session of its own, so that it survives the end of this process's
	// terminal or process group.
	cmd := exec.Command(f.cfg.Runner, string(t.folder)) //nolint:noctx // the runner outlives this process
	cmd.Env = append(env, failpoint.Environ()...)
	cmd.Stdout, cmd.Stderr = runnerLog, runnerLog
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the runner: %w", err)
	}
	failpoint.Hit("launch.after")
	f.deps.Logger.InfoContext(ctx, "a runner was started", "pipeline", t.pipeline, "run", t.run.Run, "process", cmd.Process.Pid)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // result.json says how it ended
	}()
	return done, nil
}

// job returns the runner's job without the folder of the trainer and its data.
func (f *F) job(t *task) (runner.Job, error) {
	train := t.config.Spec.Train
	params := t.run.Params
	if params == nil {
		params = map[string]any{}
	}
	text, err := json.Marshal(params)
	return runner.Job{
		Run: t.run.Run, Command: train.Argv(params), Params: text, Pipeline: t.config.JSON(),
		Timeout: train.Timeout.Std(), Retries: train.Retries, Backoff: f.cfg.Backoff, Grace: f.cfg.Grace,
		MaxOutput: f.cfg.MaxOutput, MaxFiles: f.cfg.MaxFiles, MaxLog: f.cfg.MaxLog,
	}, err
}

// data fetches the files of the train part to this machine.
func (f *F) data(ctx context.Context, t *task) ([]runner.Input, error) {
	var files []events.File
	if err := f.readJSON(ctx, t.run.Train, &files); err != nil {
		return nil, lost(fmt.Errorf("read the manifest of the train part: %w", err))
	}
	data := make([]runner.Input, len(files))
	for i, file := range files {
		path, err := f.deps.Artifacts.Path(ctx, file.Ref)
		if err != nil {
			return nil, lost(fmt.Errorf("fetch the train part %s: %w", file.Name, err))
		}
		data[i] = runner.Input{Name: file.Name, Path: path}
	}
	return data, nil
}

// lost makes an *unlaunchable of artifact.ErrNotFound: no later launch would find
// the bytes.
func lost(err error) error {
	if errors.Is(err, artifact.ErrNotFound) {
		return &unlaunchable{err.Error(), "put the artifact store back, or upload the data again"}
	}
	return err
}

// environment returns the trainer's environment: a few variables of this process
// and train.env. The runner inherits it and passes it on, so that secrets are in
// no file.
func (f *F) environment(t *task) ([]string, error) {
	env := []string{"PATH=" + filepath.Join(t.dir, ".venv", "bin") + string(os.PathListSeparator) + os.Getenv("PATH")}
	lang := "C.UTF-8"
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == "LANG":
			lang = value
		case name == "HOME", strings.HasPrefix(name, "CUDA_"):
			env = append(env, e)
		}
	}
	env = append(env, "LANG="+lang)
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(t.config.Spec.Train.Env)) {
		v := t.config.Spec.Train.Env[name]
		value := v.Value
		if v.Secret != "" {
			var err error
			if value, err = f.secret(v.Secret); err != nil {
				missing = append(missing, err.Error())
			}
		}
		env = append(env, name+"="+value)
	}
	if missing != nil {
		return nil, &unlaunchable{"train.env: " + strings.Join(missing, "; "), "put each secret into the file name/key of the folder MILLRACE_SECRETS"}
	}
	return env, nil
}

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// secret reads the file name/key, without one trailing line end.
func (f *F) secret(name string) (string, error) {
	if f.cfg.Secrets == "" {
		return "", fmt.Errorf("secret %s is needed, but MILLRACE_SECRETS is not set", name)
	}
	root, err := os.OpenRoot(f.cfg.Secrets)
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("secret %s is not in %s", name, f.cfg.Secrets)
	case err != nil:
		return "", fmt.Errorf("secret %s: %w", name, err)
	case !info.Mode().IsRegular() || info.Size() > maxSecret:
		return "", fmt.Errorf("secret %s is not a regular file of at most %d bytes", name, maxSecret)
	}
	b, err := root.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return "", fmt.Errorf("secret %s has a zero byte, which an environment variable cannot hold", name)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// maxRunnerLog bounds what is read of a runner's own log.
const maxRunnerLog = 1 << 20

// lastRunnerLine returns the last line of the runner's own log.
func (t *task) lastRunnerLine() string {
	file, err := t.folder.Open(filepath.Base(t.folder.RunnerLog()))
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxRunnerLog))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(b), "")), "\n")
	return lines[len(lines)-1]
}
