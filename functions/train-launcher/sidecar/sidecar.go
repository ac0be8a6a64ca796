// Package sidecar is the part of a run's pod that has the credentials. It
// fetches the train part, writes the runner's job, emits progress, uploads the
// output, and emits the end; then it lets the runner end. It shares only a
// folder with the trainer.
//
// It may be killed at any point and resumes from the state of the folder. It
// stores files by digest and its events have the run's own cause: emitted twice,
// or by a launcher as well, an event is in the log once.
//
// If the pod has to end before the run has, it emits nothing: the cluster
// decides whether another pod retries. It then keeps the last lines of the log,
// which the launcher reports if the run fails.
package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/runspec"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
)

// Sidecar serves one run's folder.
type Sidecar struct {
	Artifacts *artifact.Store
	Log       *eventlog.Log
	Logger    *slog.Logger
	// Spec is where the run's runspec.Spec is kept.
	Spec events.Ref
	// Folder is the run's, shared with the runner.
	Folder runner.Folder
	// Second says that the pod is one of several of its run, and not the first:
	// the first one's model is the run's. Every pod reports a failure.
	Second bool
}

// How often the sidecar polls the runner and keeps the last lines, and how much
// time it has after it was asked to end.
const (
	pollInterval = 50 * time.Millisecond
	keepEvery    = 5 * time.Second
	stopTimeout  = 15 * time.Second
)

// Run serves the folder until ctx ends.
func (s *Sidecar) Run(ctx context.Context) error {
	spec, pipeline, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	r := run{Sidecar: s, spec: spec, pipeline: pipeline, metrics: result.NewMetrics(s.Folder.Metrics()), began: time.Now()}
	if s.Folder.Reported() {
		<-ctx.Done() // killed after its work was done
		return nil
	}
	return r.follow(ctx)
}

// fetch reads the spec, fetches the data and then writes the runner's job. Data
// that the artifact store does not have fails the run.
func (s *Sidecar) fetch(ctx context.Context) (o runspec.Spec, p *config.Pipeline, err error) {
	text, err := s.Artifacts.Bytes(ctx, s.Spec, runspec.Max)
	if err != nil {
		return o, nil, fmt.Errorf("read the run's spec: %w", err)
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return o, nil, fmt.Errorf("read the run's spec: %w", err)
	}
	if p, err = config.FromJSON(o.Job.Pipeline); err != nil || s.Folder.HasJob() {
		return o, p, err
	}
	for _, file := range o.Data {
		path, err := s.Artifacts.Path(ctx, file.Ref)
		if errors.Is(err, artifact.ErrNotFound) {
			return o, p, s.Folder.Refuse(runner.Result{
				Reason: fmt.Sprintf("fetch the train part %s: %v", file.Name, err), Hint: "put the artifact store back, or upload the data again",
			})
		}
		if err != nil {
			return o, p, fmt.Errorf("fetch the train part %s: %w", file.Name, err)
		}
		if path, err = filepath.Abs(path); err != nil {
			return o, p, err
		}
		o.Job.Data = append(o.Job.Data, runner.Input{Name: file.Name, Path: path})
	}
	if err := s.Folder.Create(o.Job); err != nil {
		return o, p, err
	}
	s.Logger.InfoContext(ctx, "the train part was fetched", "files", len(o.Data))
	return o, p, nil
}

// run is a run that is followed.
type run struct {
	*Sidecar
	spec     runspec.Spec
	pipeline *config.Pipeline
	metrics  *result.Metrics
	began    time.Time
	// kept are the last lines as they were kept last, and when.
	kept   string
	keptAt time.Time
}

// follow reports on the run until it has ended, and emits its end.
func (r *run) follow(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		result, ended, err := r.Folder.Result()
		if err != nil {
			return err
		}
		if ended {
			err := r.end(ctx, result)
			if err == nil {
				<-ctx.Done()
			}
			return err
		}
		select {
		case now := <-tick.C:
			r.report(ctx, now)
		case <-ctx.Done():
			return r.leave(ctx)
		}
	}
}

// report emits progress and keeps the last lines. It logs errors and
// continues.
func (r *run) report(ctx context.Context, now time.Time) {
	if r.Second {
		return
	}
	if d, ok := r.metrics.Progress(r.spec.Job.Run, now, r.began); ok {
		if err := r.emit(ctx, d); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "progress cannot be emitted", "error", err)
		}
	}
	if now.Sub(r.keptAt) >= keepEvery {
		r.keptAt = now
		r.keep(ctx)
	}
}

// keep stores the last lines, so that they outlive the pod.
func (r *run) keep(ctx context.Context) {
	tail := r.Folder.Tail()
	if tail == r.kept {
		return
	}
	if err := result.KeepTail(ctx, r.Log, r.spec.Pipeline, r.spec.Job.Run, tail); err != nil {
		if ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "the last lines of the log cannot be kept", "error", err)
		}
		return
	}
	r.kept = tail
}

// leave does what it can in the time left if the pod ends before its run has. The
// runner has ended by then, since Kubernetes stops a sidecar last.
func (r *run) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if result, ended, err := r.Folder.Result(); err == nil && ended {
		return r.end(ctx, result)
	}
	if !r.Second {
		r.keep(ctx)
	}
	return nil
}

// end uploads the run's output, emits its end, and lets the runner end.
func (r *run) end(ctx context.Context, end runner.Result) error {
	if !r.Second || !end.OK {
		data, err := result.Of(ctx, r.Artifacts, r.pipeline, r.spec.Job.Run, r.Folder, end, r.metrics.Last())
		if err != nil {
			return err
		}
		if err := r.emit(ctx, data); err != nil {
			return fmt.Errorf("emit the end of run %s: %w", r.spec.Job.Run, err)
		}
		// The model is checked here first: the pod's exit code has to agree with
		// the log.
		if failed, ok := data.(events.TrainingFailed); ok && end.OK {
			end.OK, end.Reason = false, failed.Reason
			if err := r.Folder.Overrule(end); err != nil {
				return err
			}
		}
		r.Logger.InfoContext(ctx, "the end was emitted", "ok", end.OK, "reason", end.Reason)
	}
	return r.Folder.SetReported()
}

// emit appends an event of the run to the log.
func (r *run) emit(ctx context.Context, d events.Data) error {
	_, err := r.Log.Append(ctx, eventlog.Commit{
		Pipeline: r.spec.Pipeline, Function: events.RunFunction, Parent: r.spec.Started, Data: []events.Data{d},
	})
	return err
}
