package gateway

import (
	"cmp"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

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
