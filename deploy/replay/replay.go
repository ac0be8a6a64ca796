// Package replay runs a function over past events again, with today's code and,
// optionally, another configuration. The replay, called a shadow, changes nothing.
//
// # What the shadow sees
//
// The log is folded as recorded, with one exception: from the first replayed
// event on, the function's new decisions replace the recorded ones. A rollout
// that other guardrails would have ended is over in the shadow, and later
// decisions see that. Everything else is as recorded: a version's traffic, the
// labels, the results of other functions. A replay shows what one function would
// have decided about the recorded events; it does not simulate other events.
//
// An event is decided again at the position of its record in the log, so that
// the state is the one that a guarded decision saw. For decisions without a
// guard, the state is completed from the record (such as the champion that an
// evaluation compared with). Events without a record were never handled and are
// skipped.
//
// # Nothing is changed
//
// The shadow's log refuses appends, its artifacts are written to an overlay, and
// its folder and metrics are removed afterwards. Nothing is trained, and nothing
// is measured again if the recorded figures suffice.
package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// Run replays a function over a pipeline's past. An invalid request is an
// *httperror.Error.
func Run(ctx context.Context, d function.Deps, pipeline string, r api.ReplayRequest) (_ *api.ReplayReport, err error) {
	began := time.Now()
	rules, err := check(r, pipeline)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(d.Dir, "replay-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	overlay, err := d.Artifacts.Overlay(ctx, filepath.Join(dir, "artifacts"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, overlay.Close()) }()
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o750); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	f, err := shadows[r.Function].build(function.Deps{
		Log: d.Log.ReadOnly(), States: d.States, Artifacts: overlay, Logger: d.Logger, Metrics: registry, Dir: work,
	})
	if err != nil {
		return nil, err
	}
	s := &shadow{
		request: r, rules: rules, kind: shadows[r.Function], mux: function.NewMux(r.Function), artifacts: overlay,
		then: state.New(pipeline), now: state.New(pipeline), waiting: map[string]events.Envelope{},
		report: &api.ReplayReport{Pipeline: pipeline, Function: r.Function, From: r.From, Differences: []api.ReplayDifference{}},
	}
	f.Register(s.mux)
	if err := s.walk(ctx, d.Log, pipeline); err != nil {
		return nil, fmt.Errorf("replay %s: %w", r.Function, err)
	}
	s.report.Measured = measured(registry)
	s.report.Summary = s.kind.summary(s)
	s.report.Seconds = time.Since(began).Seconds()
	return s.report, nil
}

// check validates the request, and parses its configuration.
func check(r api.ReplayRequest, pipeline string) (*config.Pipeline, error) {
	switch _, ok := shadows[r.Function]; {
	case !r.DryRun:
		return nil, httperror.New(http.StatusBadRequest, "a replay never changes anything").Try("confirm that with --dry-run (dryRun: true in the request)")
	case !ok:
		return nil, httperror.New(http.StatusBadRequest, "the function %q cannot be replayed", r.Function).Try("one of %s", list(slices.Sorted(maps.Keys(shadows))))
	case r.From == 0:
		return nil, httperror.New(http.StatusBadRequest, "from is missing: it is the sequence of the first event to replay").Try("millrace events shows sequences; 1 is the beginning of the log")
	case r.To > 0 && r.To < r.From:
		return nil, httperror.New(http.StatusBadRequest, "to (%d) is before from (%d)", r.To, r.From).Try("omit it for the newest")
	case r.Config == "":
		return nil, nil
	}
	file := r.File
	if file == "" {
		file = config.FileName
	}
	rules, err := config.Parse(file, []byte(r.Config))
	if err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	if rules.Name() != pipeline {
		return nil, httperror.New(http.StatusBadRequest, "%s is a file of the pipeline %s, not %s", file, rules.Name(), pipeline).Try("the name in metadata must be the pipeline's")
	}
	return rules, nil
}

// shadow is a running replay.
type shadow struct {
	request   api.ReplayRequest
	rules     *config.Pipeline
	kind      kind
	mux       *function.Mux
	artifacts reader
	// then is the recorded state, now that of the shadow.
	then, now *state.Pipeline
	// waiting has the events of the function whose record has not been read yet.
	waiting map[string]events.Envelope
	report  *api.ReplayReport
	// recorded and replayed are the function's events for the replayed ones;
	// promoted are the versions that have been the champion.
	recorded, replayed []events.Envelope
	promoted           map[int]bool
}

// walk folds the log and replays the function's events.
func (s *shadow) walk(ctx context.Context, log *eventlog.Log, pipeline string) error {
	s.promoted = map[int]bool{}
	var commit []events.Envelope
	for r, err := range log.History(ctx, pipeline) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if commit = append(commit, r.Envelope); r.More > 0 {
			continue
		}
		s.take(ctx, commit)
		commit = commit[:0]
	}
	return nil
}

// take folds the next commit of the log.
func (s *shadow) take(ctx context.Context, commit []events.Envelope) {
	handled, record := s.recordOf(commit)
	inRange := handled.Sequence >= s.request.From && (s.request.To == 0 || handled.Sequence <= s.request.To)
	again := record && inRange
	if again {
		s.decide(ctx, handled, commit)
	}
	past := s.request.To > 0 && commit[0].Sequence > s.request.To
	for _, e := range commit {
		if d, err := events.Decode[events.ModelPromoted](e); err == nil {
			s.promoted[d.Data.Version] = true
		}
		if again || !past {
			s.then = state.Apply(s.then, e)
		}
		if past || again {
			continue
		}
		s.now = state.Apply(s.now, e)
		if slices.Contains(s.mux.Types(), e.Type) {
			s.waiting[e.ID] = e
		}
	}
}

// own reports whether the function emitted the event.
func (s *shadow) own(e events.Envelope) bool { return e.Function() == s.request.Function }

// recordOf reports whether the commit is the record of a handling, and returns
// the handled event.
func (s *shadow) recordOf(commit []events.Envelope) (handled events.Envelope, ok bool) {
	if !s.own(commit[0]) {
		return handled, false
	}
	handled, ok = s.waiting[commit[0].CausationID]
	delete(s.waiting, commit[0].CausationID)
	return handled, ok
}

// decide decides an event again, right before its record, folds the decision
// and compares it with the record.
func (s *shadow) decide(ctx context.Context, handled events.Envelope, record []events.Envelope) {
	view := *s.now
	if s.rules != nil && view.Config != nil {
		view.Config = s.rules
		view.Configured.Digest = events.Cause("replay", string(s.rules.JSON()))
	}
	s.kind.believe(ctx, s.artifacts, &view, record)
	replayed, err := s.emit(ctx, handled, &view, record)
	for _, e := range replayed {
		s.now = state.Apply(s.now, e)
	}
	s.report.Replayed++
	s.report.To = handled.Sequence
	s.recorded = append(s.recorded, record...) // copies: the commit's memory is reused
	s.replayed = append(s.replayed, replayed...)
	if err == nil && slices.Equal(essence(record), essence(replayed)) {
		return
	}
	d := api.ReplayDifference{
		Event: handled.ID, Type: handled.Type, Subject: handled.Subject, Sequence: handled.Sequence, Time: handled.Time,
		Recorded: decision(record), Replayed: decision(replayed), Version: versionOf(record),
	}
	if d.Version == 0 {
		d.Version = versionOf(replayed)
	}
	if err != nil {
		d.Replayed.Error = err.Error()
	}
	s.report.Differences = append(s.report.Differences, d)
}

// emit returns the function's new events, as they would be in place of
// the record.
func (s *shadow) emit(ctx context.Context, handled events.Envelope, p *state.Pipeline, record []events.Envelope) ([]events.Envelope, error) {
	c, err := s.mux.Decide(ctx, handled, p)
	if err != nil {
		return nil, err
	}
	out, err := c.Events()
	for i := range out {
		out[i].Time, out[i].Sequence = record[0].Time, record[0].Sequence
	}
	return out, err
}
