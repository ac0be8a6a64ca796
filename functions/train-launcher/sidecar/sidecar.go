// Package sidecar is the part of a run's pod that has the credentials. It
// fetches the train part, hands the runner its job, tells what the trainer
// tells, keeps what it leaves, and announces the end; then it lets the runner
// go. The trainer shares a folder with it and nothing else.
//
// It may be killed at any point and begins again where the folder is. What it
// keeps is kept by digest and what it announces has the run's own cause: said
// twice, or by a launcher as well, it stands in the log once.
//
// When the pod has to end before the run has, it says nothing: whether another
// pod tries is the cluster's to say. It leaves the last lines of the log then,
// for the launcher to tell the reason with.
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
	"millrace.dev/functions/train-launcher/order"
	"millrace.dev/functions/train-launcher/outcome"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
)

// Sidecar serves one run's folder.
type Sidecar struct {
	Artifacts *artifact.Store
	Log       *eventlog.Log
	Logger    *slog.Logger
	// Order is where the run's order lies.
	Order events.Ref
	// Folder is the run's, shared with the runner.
	Folder runner.Folder
	// Second says that the pod is one of several of its run, and not the first:
	// the first one's model is the run's. What fails is told by each.
	Second bool
}

// How often the sidecar looks what the runner does, keeps the last lines, and
// what it still has after it was asked to end.
const (
	lookEvery = 50 * time.Millisecond
	keepEvery = 5 * time.Second
	lastWords = 15 * time.Second
)

// Run serves the folder until ctx ends.
func (s *Sidecar) Run(ctx context.Context) error {
	// First, so that nothing runs whose last lines could not be kept.
	tails, err := outcome.OpenTails(ctx, s.Log)
	if err != nil {
		return fmt.Errorf("open what keeps last lines: %w", err)
	}
	o, pipeline, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	r := run{Sidecar: s, order: o, pipeline: pipeline, tails: tails, said: outcome.NewMetrics(s.Folder.Metrics()), began: time.Now()}
	if s.Folder.Told() {
		<-ctx.Done() // killed after its work was done
		return nil
	}
	return r.follow(ctx)
}

// fetch reads the order, and writes the runner's job when its data is there.
// What is lost for good fails the run.
func (s *Sidecar) fetch(ctx context.Context) (o order.Order, p *config.Pipeline, err error) {
	text, err := s.Artifacts.Bytes(ctx, s.Order, order.Max)
	if err != nil {
		return o, nil, fmt.Errorf("read the run's order: %w", err)
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return o, nil, fmt.Errorf("read the run's order: %w", err)
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
	s.Logger.InfoContext(ctx, "the train part is there", "files", len(o.Data))
	return o, p, nil
}

// run is a run that is followed.
type run struct {
	*Sidecar
	order    order.Order
	pipeline *config.Pipeline
	tails    *outcome.Tails
	said     *outcome.Metrics
	began    time.Time
	// kept are the last lines as they were kept last, and when.
	kept   string
	keptAt time.Time
}

// follow tells of the run until it has ended, and that.
func (r *run) follow(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
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
		case now := <-look.C:
			r.tell(ctx, now)
		case <-ctx.Done():
			return r.leave(ctx)
		}
	}
}

// tell announces progress and keeps the last lines. What fails is not missed.
func (r *run) tell(ctx context.Context, now time.Time) {
	if r.Second {
		return
	}
	if d, ok := r.said.Progress(r.order.Job.Run, now, r.began); ok {
		if err := r.announce(ctx, d); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "progress can't be announced", "error", err)
		}
	}
	if now.Sub(r.keptAt) >= keepEvery {
		r.keptAt = now
		r.keep(ctx)
	}
}

// keep keeps the last lines where they outlive the pod.
func (r *run) keep(ctx context.Context) {
	tail := r.Folder.Tail()
	if tail == r.kept {
		return
	}
	if err := r.tails.Keep(ctx, r.order.Pipeline, r.order.Job.Run, tail); err != nil {
		if ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "the last lines of the log can't be kept", "error", err)
		}
		return
	}
	r.kept = tail
}

// leave uses what time is left when the pod ends before its run has: the
// runner has ended by then, since a sidecar goes last.
func (r *run) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if result, ended, err := r.Folder.Result(); err == nil && ended {
		return r.end(ctx, result)
	}
	if !r.Second {
		r.keep(ctx)
	}
	return nil
}

// end keeps what the run left, announces the end, and lets the runner go.
func (r *run) end(ctx context.Context, result runner.Result) error {
	if !r.Second || !result.OK {
		data, err := outcome.Of(ctx, r.Artifacts, r.pipeline, r.order.Job.Run, r.Folder, result, r.said.Last())
		if err != nil {
			return err
		}
		if err := r.announce(ctx, data); err != nil {
			return fmt.Errorf("announce the end of run %s: %w", r.order.Job.Run, err)
		}
		// Whether the model is one is known here first: the pod's exit code
		// is to say what the log says.
		if failed, ok := data.(events.TrainingFailed); ok && result.OK {
			result.OK, result.Reason = false, failed.Reason
			if err := r.Folder.Overrule(result); err != nil {
				return err
			}
		}
		r.Logger.InfoContext(ctx, "the end has been told", "ok", result.OK, "reason", result.Reason)
	}
	return r.Folder.SetTold()
}

// announce puts what became of the run into the log.
func (r *run) announce(ctx context.Context, d events.Data) error {
	_, err := r.Log.Append(ctx, eventlog.Commit{
		Pipeline: r.order.Pipeline, Function: events.RunFunction, Parent: r.order.Started, Data: []events.Data{d},
	})
	return err
}
