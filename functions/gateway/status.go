package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/access"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
	"millrace.dev/shared/version"
)

func (f *F) getStatus(w http.ResponseWriter, r *http.Request) error {
	ps, err := f.asked(r)
	if err != nil {
		return err
	}
	s := api.Status{Version: version.Read().Short(), Started: f.started, UptimeSeconds: time.Since(f.started).Seconds(), Pipelines: each(ps, one(statusOf))}
	if s.Log.Events, s.Log.Bytes, err = f.deps.Log.Size(r.Context()); err != nil {
		return err
	}
	if err := f.deps.Log.Degraded(); err != nil {
		s.Log.Degraded = err.Error()
		s.Log.Trouble = s.Log.Degraded
	}
	if s.Log.Unreadable, err = f.unreadable(r.Context()); err != nil {
		return err
	}
	if may(r.Context(), access.Read, "") != nil {
		s.Log.Unreadable.Records = nil // they may be any pipeline's
	}
	if s.Failing, err = f.failing(r); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s)
	return nil
}

// failing returns the events that are tried again now. A past time has an empty list.
func (f *F) failing(r *http.Request) ([]api.Failing, error) {
	out := []api.Failing{}
	if at, err := pointOf(r); err != nil || at != (state.At{}) {
		return out, err
	}
	all, err := function.AllFailing(r.Context(), f.deps.Log)
	if err != nil {
		return nil, err
	}
	asked := r.URL.Query().Get("pipeline")
	for _, e := range all {
		if (asked == "" || e.Pipeline == asked) && may(r.Context(), access.Read, e.Pipeline) == nil {
			out = append(out, api.Failing{
				Function: e.Function, Pipeline: e.Pipeline, Event: e.Event, Type: e.Type, Subject: e.Subject,
				Attempt: e.Attempt, Attempts: e.Attempts, First: e.First, Next: e.Next, Reason: e.Reason,
			})
		}
	}
	return out, nil
}

// checkWithin bounds how long a status checks the log for unreadable records. The next one continues.
const checkWithin = time.Second

// unreadable checks more of the log, and returns what has been found.
func (f *F) unreadable(ctx context.Context) (api.Unreadable, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	report, err := f.deps.Log.Unreadable(ctx)
	return unreadableOf(report), err
}

func unreadableOf(r eventlog.UnreadableReport) api.Unreadable {
	out := api.Unreadable{Count: r.Count, Checked: r.Checked, Last: r.Last}
	for _, u := range r.Records {
		out.Records = append(out.Records, api.UnreadableRecord{Sequence: u.Sequence, Subject: u.Subject, Time: u.Time, Reason: u.Reason})
	}
	return out
}

// getUnreadable checks the whole log before it answers, which takes time in proportion to its length.
func (f *F) getUnreadable(w http.ResponseWriter, r *http.Request) error {
	if err := may(r.Context(), access.Read, ""); err != nil {
		return err
	}
	report, err := f.deps.Log.Unreadable(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, unreadableOf(report))
	return nil
}

func (f *F) getPipelines(w http.ResponseWriter, r *http.Request) error {
	return f.rows(w, r, func(ps []*state.Pipeline) any { return each(ps, one(statusOf)) })
}

func (f *F) getPipeline(w http.ResponseWriter, r *http.Request) error {
	at, err := pointOf(r)
	if err != nil {
		return err
	}
	p, err := f.pipelineAt(r.Context(), r.PathValue("pipeline"), at)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, p)
	return nil
}

func (f *F) getDatasets(w http.ResponseWriter, r *http.Request) error {
	return f.rows(w, r, func(ps []*state.Pipeline) any { return each(ps, datasetRows) })
}

func (f *F) getRuns(w http.ResponseWriter, r *http.Request) error {
	return f.rows(w, r, func(ps []*state.Pipeline) any { return each(ps, runRows) })
}

func (f *F) getModels(w http.ResponseWriter, r *http.Request) error {
	return f.rows(w, r, func(ps []*state.Pipeline) any { return each(ps, modelRows) })
}

func (f *F) getRoutes(w http.ResponseWriter, r *http.Request) error {
	return f.rows(w, r, func(ps []*state.Pipeline) any { return each(ps, one(routeRow)) })
}

func (f *F) getSchedules(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	return f.rows(w, r, func(ps []*state.Pipeline) any {
		return each(ps, func(p *state.Pipeline) []api.ScheduleRow { return scheduleRows(p, now) })
	})
}

// rows returns a handler that lists rows of the requested pipelines.
func (f *F) rows(w http.ResponseWriter, r *http.Request, of func([]*state.Pipeline) any) error {
	ps, err := f.asked(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, of(ps))
	return nil
}

// each joins the pipelines' rows; the result is never nil, so that JSON has a list.
func each[T any](ps []*state.Pipeline, of func(*state.Pipeline) []T) []T {
	out := []T{}
	for _, p := range ps {
		out = append(out, of(p)...)
	}
	return out
}

func one[T any](of func(*state.Pipeline) T) func(*state.Pipeline) []T {
	return func(p *state.Pipeline) []T { return []T{of(p)} }
}

// asked returns the states of the pipeline in the query, or of all, at the
// point in the query, or now.
func (f *F) asked(r *http.Request) ([]*state.Pipeline, error) {
	at, err := pointOf(r)
	if err != nil {
		return nil, err
	}
	if name := r.URL.Query().Get("pipeline"); name != "" {
		p, err := f.pipelineAt(r.Context(), name, at)
		return []*state.Pipeline{p}, err
	}
	if at == (state.At{}) {
		return f.deps.States.Configured(r.Context())
	}
	names, err := f.deps.Log.Pipelines(r.Context())
	if err != nil {
		return nil, err
	}
	var out []*state.Pipeline
	for _, n := range names {
		p, err := f.deps.States.LoadAt(r.Context(), n, at)
		if err != nil {
			return nil, err
		}
		if p.Config != nil {
			out = append(out, p)
		}
	}
	return out, nil
}

func (f *F) pipelineAt(ctx context.Context, name string, at state.At) (*state.Pipeline, error) {
	known, err := f.deps.Log.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(known, name) {
		return nil, noPipeline(name, known)
	}
	p, err := f.deps.States.LoadAt(ctx, name, at)
	if err == nil && p.Config == nil {
		return nil, httperror.New(http.StatusNotFound, "the pipeline %s was not there yet at that point", name)
	}
	return p, err
}

// pointOf reads the point of the past in the query.
func pointOf(r *http.Request) (at state.At, err error) {
	q := r.URL.Query()
	if v := q.Get("at"); v != "" {
		if at.Time, err = time.Parse(time.RFC3339, strings.ReplaceAll(v, " ", "+")); err != nil {
			return at, httperror.New(http.StatusBadRequest, "at=%.60s is not an RFC 3339 timestamp", v).Try("write 2026-01-31T12:00:00Z")
		}
	}
	if at.Sequence, err = sequence(q.Get("seq")); err != nil {
		return at, httperror.New(http.StatusBadRequest, "seq=%.60s is not a sequence of the log", q.Get("seq"))
	}
	return at, nil
}

// sequence reads a sequence; it is 0 for "".
func sequence(v string) (uint64, error) {
	if v == "" {
		return 0, nil
	}
	return strconv.ParseUint(v, 10, 64)
}
