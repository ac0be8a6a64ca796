package gateway

import (
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/state"
)

// Status is how the installation is.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// UptimeSeconds is of the gateway.
	UptimeSeconds float64          `json:"uptimeSeconds"`
	Log           LogSize          `json:"log"`
	Pipelines     []PipelineStatus `json:"pipelines"`
}

// LogSize is how much the event log holds.
type LogSize struct {
	Events uint64 `json:"events"`
	Bytes  uint64 `json:"bytes"`
	// Trouble says why nothing can be stored now, empty when it can.
	Trouble string `json:"trouble,omitempty"`
}

// PipelineStatus is how one pipeline is, in short.
type PipelineStatus struct {
	Pipeline    string    `json:"pipeline"`
	Description string    `json:"description,omitempty"`
	Task        string    `json:"task"`
	Config      string    `json:"config"`
	Commit      string    `json:"commit,omitempty"`
	Dir         string    `json:"dir,omitempty"`
	Configured  time.Time `json:"configured"`
	// Uploads are the globs of data and labels.
	Uploads []string `json:"uploads"`
	// Objects counts the objects there are, by what became of them.
	Objects    map[state.ObjectStatus]int `json:"objects,omitempty"`
	Snapshot   string                     `json:"snapshot,omitempty"`
	Partitions int                        `json:"partitions"`
	Rows       int64                      `json:"rows"`
	// Runs counts all runs; Running are those under way.
	Runs    int       `json:"runs"`
	Running []RunRow  `json:"running,omitempty"`
	Wish    *WishRow  `json:"wish,omitempty"`
	Models  int       `json:"models"`
	Route   RouteRow  `json:"route"`
	Drift   *DriftRow `json:"drift,omitempty"`
	Served  ServedRow `json:"served"`
	Dead    int       `json:"deadLetters"`
	Last    *RunRow   `json:"lastRun,omitempty"`
	Newest  *ModelRow `json:"newestModel,omitempty"`
}

func (f *F) getStatus(w http.ResponseWriter, r *http.Request) error {
	ps, err := f.asked(r)
	if err != nil {
		return err
	}
	s := Status{Version: version(), Started: f.started, UptimeSeconds: time.Since(f.started).Seconds(), Pipelines: each(ps, one(statusOf))}
	if s.Log.Events, s.Log.Bytes, err = f.Log.Size(r.Context()); err != nil {
		return err
	}
	if err := f.Log.Trouble(); err != nil {
		s.Log.Trouble = err.Error()
	}
	writeJSON(w, http.StatusOK, s)
	return nil
}

// version is the module's, or the commit's of a build from the tree.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := b.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	i := slices.IndexFunc(b.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
	if i < 0 {
		return "devel"
	}
	return "devel-" + b.Settings[i].Value[:min(10, len(b.Settings[i].Value))]
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

// rows answers with a list made of the pipelines that were asked for.
func (f *F) rows(w http.ResponseWriter, r *http.Request, of func([]*state.Pipeline) any) error {
	ps, err := f.asked(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, of(ps))
	return nil
}

// each joins what the pipelines give; it is never nil, so that JSON has a list.
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

// asked gives the states of the pipeline in the query, or of all, as of the
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
		return f.States.Configured(r.Context())
	}
	names, err := f.Log.Pipelines(r.Context())
	if err != nil {
		return nil, err
	}
	var out []*state.Pipeline
	for _, n := range names {
		p, err := f.States.LoadAt(r.Context(), n, at)
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
	known, err := f.Log.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(known, name) {
		return nil, noPipeline(name, known)
	}
	p, err := f.States.LoadAt(ctx, name, at)
	if err == nil && p.Config == nil {
		return nil, refuse(http.StatusNotFound, "the pipeline %s was not there yet at that point", name)
	}
	return p, err
}

// pointOf reads the point of the past that is asked for.
func pointOf(r *http.Request) (at state.At, err error) {
	q := r.URL.Query()
	if v := q.Get("at"); v != "" {
		if at.Time, err = time.Parse(time.RFC3339, strings.ReplaceAll(v, " ", "+")); err != nil {
			return at, refuse(http.StatusBadRequest, "at=%.60s is not an RFC 3339 timestamp", v).try("write 2026-01-31T12:00:00Z")
		}
	}
	if at.Sequence, err = sequence(q.Get("seq")); err != nil {
		return at, refuse(http.StatusBadRequest, "seq=%.60s is not a sequence of the log", q.Get("seq"))
	}
	return at, nil
}

// sequence reads a sequence, 0 when there is none.
func sequence(v string) (uint64, error) {
	if v == "" {
		return 0, nil
	}
	return strconv.ParseUint(v, 10, 64)
}
