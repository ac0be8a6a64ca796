// Package replay lets a function decide over past events again, with the code
// of today and, if wanted, under another configuration: a shadow of the past
// that changes nothing.
//
// # What the shadow sees
//
// The log is folded as it was, with one exception: from the first event that is
// replayed on, what the function announced then is left out, and what it
// announces now stands in its place. So a rollout that other guardrails would
// have ended is over in the shadow, and what follows is decided accordingly.
// Everything else is taken as it was recorded: the traffic that a version had,
// the labels that came, what other functions did. A replay tells what one
// function would have decided about what was; it does not guess what would
// have been.
//
// An event is decided at the place in the log where its record stands, so that
// the state is the one a guarded decision saw. What the record tells of a
// decision that is not guarded (the champion that an evaluation compared with)
// is believed. Events without a record had not been handled and are passed over.
//
// # Nothing is changed
//
// The shadow's log refuses every append, its artifacts are put aside, its
// folder and metrics are its own and are gone afterwards. Nothing is trained,
// and nothing is measured again where the recorded figures suffice.
package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Request says what is to be replayed.
type Request struct {
	Function string `json:"function"`
	// From and To are the first and the last sequence of the events that are
	// decided again; To is 0 for the newest.
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"`
	// Config is the pipeline file (YAML) that rules instead of those of then,
	// empty for those of then; File is its name, for what is wrong with it.
	Config string `json:"config,omitempty"`
	File   string `json:"file,omitempty"`
	// DryRun must be set: it is all that a replay does.
	DryRun bool `json:"dryRun"`
}

// Report is what a replay found.
type Report struct {
	Pipeline string `json:"pipeline"`
	Function string `json:"function"`
	From     uint64 `json:"from"`
	// To is the sequence of the last event that was replayed.
	To uint64 `json:"to"`
	// Replayed decisions are those that were recorded; Differences those that
	// are other ones now.
	Replayed    int          `json:"replayed"`
	Differences []Difference `json:"differences"`
	// Measured is how many evaluations needed the rows of their hold-out.
	Measured int `json:"measured,omitempty"`
	// Summary says in a sentence what would have been different.
	Summary string  `json:"summary"`
	Seconds float64 `json:"seconds"`
}

// Difference is one event that would be decided otherwise.
type Difference struct {
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Version is the model version that it is about, 0 for none.
	Version  int      `json:"version,omitempty"`
	Recorded Decision `json:"recorded"`
	Replayed Decision `json:"replayed"`
}

// Decision is what came of an event.
type Decision struct {
	// Announced are the events in short ("model.approved"), empty when there
	// was nothing to announce.
	Announced []string `json:"announced"`
	// Says is what they say, for a person.
	Says []string `json:"says"`
	// Verdicts are those of an evaluation.
	Verdicts []events.Verdict `json:"verdicts,omitempty"`
	// Error says why the shadow could not decide.
	Error string `json:"error,omitempty"`
}

// Run replays a function over a pipeline's past. The error of what is wrong
// with the request is a *Refused.
func Run(ctx context.Context, d function.Deps, pipeline string, r Request) (_ *Report, err error) {
	began := time.Now()
	rules, err := r.check(pipeline)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(d.Dir, "replay-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	aside, err := d.Artifacts.Aside(ctx, filepath.Join(dir, "artifacts"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, aside.Close()) }()
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o750); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	f, err := shadows[r.Function].build(function.Deps{
		Log: d.Log.ReadOnly(), States: d.States, Artifacts: aside, Logger: d.Logger, Metrics: registry, Dir: work,
	})
	if err != nil {
		return nil, err
	}
	s := &shadow{
		request: r, rules: rules, kind: shadows[r.Function], mux: function.NewMux(r.Function), artifacts: aside,
		then: state.New(pipeline), now: state.New(pipeline), waiting: map[string]events.Envelope{},
		report: &Report{Pipeline: pipeline, Function: r.Function, From: r.From, Differences: []Difference{}},
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

// Refused says what is wrong with a request.
type Refused struct{ Text, Hint string }

func (r *Refused) Error() string { return r.Text }

// check sees that the request can be met, and reads its configuration.
func (r Request) check(pipeline string) (*config.Pipeline, error) {
	switch _, ok := shadows[r.Function]; {
	case !r.DryRun:
		return nil, &Refused{"a replay never changes anything", "say --dry-run (dryRun: true in the request)"}
	case !ok:
		return nil, &Refused{fmt.Sprintf("the function %q cannot be replayed", r.Function), fmt.Sprintf("one of %s", list(slices.Sorted(maps.Keys(shadows))))}
	case r.From == 0:
		return nil, &Refused{"from is missing: it is the sequence of the first event that is decided again", "millrace events shows sequences; 1 is the beginning of the log"}
	case r.To > 0 && r.To < r.From:
		return nil, &Refused{fmt.Sprintf("to (%d) is before from (%d)", r.To, r.From), "leave it out for the newest"}
	case r.Config == "":
		return nil, nil
	}
	file := r.File
	if file == "" {
		file = config.FileName
	}
	rules, err := config.Parse(file, []byte(r.Config))
	if err != nil {
		return nil, &Refused{Text: err.Error()}
	}
	if rules.Name() != pipeline {
		return nil, &Refused{fmt.Sprintf("%s is of the pipeline %s, not %s", file, rules.Name(), pipeline), "the name in metadata must be the pipeline's"}
	}
	return rules, nil
}

// shadow is a replay under way.
type shadow struct {
	request   Request
	rules     *config.Pipeline
	kind      kind
	mux       *function.Mux
	artifacts reader
	// then is the state as it was, now the one of the shadow.
	then, now *state.Pipeline
	// waiting are events that the function hears, until their record comes.
	waiting map[string]events.Envelope
	report  *Report
	// recorded and replayed are what the function announced of the events that
	// were replayed; promoted are the versions that have been the champion.
	recorded, replayed []events.Envelope
	promoted           map[int]bool
}

// walk folds the log and decides on the way.
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

// take takes the next commit of the log.
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

// own tells whether the function announced the event.
func (s *shadow) own(e events.Envelope) bool { return e.Function() == s.request.Function }

// recordOf tells whether the commit is the record of a handling, and of which
// event.
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
	replayed, err := s.announce(ctx, handled, &view, record)
	for _, e := range replayed {
		s.now = state.Apply(s.now, e)
	}
	s.report.Replayed++
	s.report.To = handled.Sequence
	s.recorded = append(s.recorded, record...) // copies: the commit's memory is used again
	s.replayed = append(s.replayed, replayed...)
	if err == nil && slices.Equal(essence(record), essence(replayed)) {
		return
	}
	d := Difference{
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

// announce gives what the function announces now, as it would stand in the
// place of the record.
func (s *shadow) announce(ctx context.Context, handled events.Envelope, p *state.Pipeline, record []events.Envelope) ([]events.Envelope, error) {
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
