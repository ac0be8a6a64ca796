package gateway

import (
	"cmp"
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/events"
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

// WishRow is training that is asked for and waits.
type WishRow struct {
	Trigger string     `json:"trigger"`
	Reason  string     `json:"reason"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"`
}

// DriftRow is the newest drift check.
type DriftRow struct {
	Drifted bool      `json:"drifted"`
	Action  string    `json:"action,omitempty"`
	Version int       `json:"version"`
	Rows    int64     `json:"rows"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// ServedRow sums up the predictions.
type ServedRow struct {
	Rows    int64           `json:"rows"`
	Dropped int64           `json:"dropped,omitempty"`
	Last    *time.Time      `json:"last,omitempty"`
	Traffic []state.Traffic `json:"traffic,omitempty"`
}

// DatasetRow is one snapshot.
type DatasetRow struct {
	Pipeline   string           `json:"pipeline"`
	Snapshot   string           `json:"snapshot"`
	Partitions int              `json:"partitions"`
	Rows       int64            `json:"rows"`
	Warnings   []events.Problem `json:"warnings,omitempty"`
	// Current marks the snapshot that the dataset is now.
	Current bool      `json:"current,omitempty"`
	Created time.Time `json:"created"`
	Event   string    `json:"event"`
}

// RunRow is one training.
type RunRow struct {
	Pipeline string             `json:"pipeline"`
	Run      string             `json:"run"`
	Status   state.RunStatus    `json:"status"`
	Trigger  string             `json:"trigger"`
	Reason   string             `json:"reason,omitempty"`
	Snapshot string             `json:"snapshot"`
	Rows     int64              `json:"trainRows"`
	Holdout  int64              `json:"holdoutRows"`
	Step     int64              `json:"step,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Version  int                `json:"version,omitempty"`
	Attempts int                `json:"attempts,omitempty"`
	Seconds  float64            `json:"seconds,omitempty"`
	Failure  string             `json:"failure,omitempty"`
	LogTail  string             `json:"logTail,omitempty"`
	Started  time.Time          `json:"started"`
	Ended    *time.Time         `json:"ended,omitempty"`
}

// ModelRow is one version.
type ModelRow struct {
	Pipeline string           `json:"pipeline"`
	Version  int              `json:"version"`
	State    state.ModelState `json:"state"`
	Run      string           `json:"run"`
	Name     string           `json:"name,omitempty"`
	Snapshot string           `json:"snapshot"`
	// Metrics are those of the last evaluation; of the trainer before it.
	Metrics map[string]float64 `json:"metrics"`
	// Reason is that of the last evaluation.
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created"`
}

// RouteRow is where a pipeline's requests go.
type RouteRow struct {
	Pipeline string          `json:"pipeline"`
	Champion int             `json:"champion"`
	Weights  []events.Weight `json:"weights"`
	Rollout  *RolloutRow     `json:"rollout,omitempty"`
	Changed  *time.Time      `json:"changed,omitempty"`
}

// RolloutRow is the rollout under way.
type RolloutRow struct {
	Version  int       `json:"version"`
	Previous int       `json:"previous,omitempty"`
	Strategy string    `json:"strategy"`
	Steps    []float64 `json:"steps,omitempty"`
	Step     int       `json:"step"`
	// Waiting says that a person's yes is waited for.
	Waiting  bool      `json:"waiting,omitempty"`
	Began    time.Time `json:"began"`
	Requests int64     `json:"requests"`
	Errors   int64     `json:"errors"`
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

func statusOf(p *state.Pipeline) PipelineStatus {
	spec := p.Config.Spec
	s := PipelineStatus{
		Pipeline: p.Name, Description: spec.Description, Task: spec.Model.Task,
		Config: p.Configured.Digest, Commit: p.Configured.Commit, Dir: p.Configured.Dir, Configured: p.Configured.Time,
		Uploads:  append(slices.Clone(spec.Data.Uploads), spec.Data.Labels.Uploads...),
		Objects:  map[state.ObjectStatus]int{},
		Snapshot: p.Dataset.Snapshot, Partitions: len(p.Dataset.Partitions), Rows: p.Dataset.Rows,
		Runs: len(p.Runs), Models: len(p.Models), Route: routeRow(p), Dead: len(p.DeadLetters),
		Served: ServedRow{Rows: p.Predictions.Rows, Dropped: p.Predictions.Dropped, Last: some(p.Predictions.Last), Traffic: p.Predictions.Traffic},
	}
	for _, o := range p.Objects {
		s.Objects[o.Status]++
	}
	for _, r := range runRows(p) {
		if r.Status == state.RunStarted {
			s.Running = append(s.Running, r)
		}
		s.Last = &r
	}
	if ms := modelRows(p); len(ms) > 0 {
		s.Newest = &ms[len(ms)-1]
	}
	if w := p.Wish; w != nil {
		s.Wish = &WishRow{Trigger: w.Trigger, Reason: w.Reason, Since: w.Since, Until: some(w.Until)}
	}
	if n := len(p.Drift.Checks); n > 0 {
		c := p.Drift.Checks[n-1]
		s.Drift = &DriftRow{Drifted: c.Drifted, Action: c.Action, Version: c.Version, Rows: c.Rows, Reason: c.Reason, Time: c.Time}
	}
	return s
}

func datasetRows(p *state.Pipeline) []DatasetRow {
	var out []DatasetRow
	for _, s := range p.Dataset.Snapshots {
		out = append(out, DatasetRow{
			Pipeline: p.Name, Snapshot: s.Digest, Partitions: s.Partitions, Rows: s.Rows, Warnings: s.Warnings,
			Current: s == p.Dataset.Snapshots[len(p.Dataset.Snapshots)-1], Created: s.Time, Event: s.Event,
		})
	}
	return out
}

func runRows(p *state.Pipeline) []RunRow {
	var out []RunRow
	for _, r := range p.Runs {
		out = append(out, RunRow{
			Pipeline: p.Name, Run: r.Run, Status: r.Status, Trigger: r.Trigger, Reason: r.Reason, Snapshot: r.Snapshot,
			Rows: r.TrainRows, Holdout: r.HoldoutRows, Step: r.Step, Metrics: r.Metrics, Version: r.Version, Attempts: r.Attempts,
			Seconds: r.Seconds, Failure: r.Failure, LogTail: r.LogTail, Started: r.Started, Ended: some(r.Ended),
		})
	}
	return out
}

func modelRows(p *state.Pipeline) []ModelRow {
	var out []ModelRow
	for _, m := range p.Models {
		row := ModelRow{
			Pipeline: p.Name, Version: m.Version, State: m.State, Run: m.Run, Name: m.Name, Snapshot: m.Snapshot,
			Metrics: map[string]float64{}, Created: m.Created,
		}
		if m.Evaluation != nil {
			row.Reason = m.Evaluation.Reason
			for _, metric := range m.Evaluation.Score.Metrics {
				row.Metrics[metric.Name] = metric.Value
			}
		} else if r := p.Run(m.Run); r != nil && len(r.Metrics) > 0 {
			row.Metrics = r.Metrics
		}
		out = append(out, row)
	}
	return out
}

func routeRow(p *state.Pipeline) RouteRow {
	row := RouteRow{Pipeline: p.Name, Champion: p.Route.Champion, Weights: slices.Clone(p.Route.Weights), Changed: some(p.Route.Changed)}
	if row.Weights == nil {
		row.Weights = []events.Weight{}
	}
	slices.SortFunc(row.Weights, func(a, b events.Weight) int { return cmp.Compare(a.Version, b.Version) })
	if r := p.Rollout; r != nil {
		row.Rollout = &RolloutRow{
			Version: r.Version, Previous: r.Previous, Strategy: r.Strategy, Steps: r.Steps, Step: r.Step,
			Waiting: r.Waiting, Began: r.Began, Requests: r.Requests, Errors: r.Errors,
		}
	}
	return row
}

// some is the time, nil if there is none, so that JSON leaves it out.
func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
