package gateway

import (
	"cmp"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/state"
)

func statusOf(p *state.Pipeline) api.PipelineStatus {
	spec := p.Config.Spec
	s := api.PipelineStatus{
		Pipeline: p.Name, Description: spec.Description, Task: spec.Model.Task,
		Config: p.Configured.Digest, Commit: p.Configured.Commit, Dir: p.Configured.Dir, Configured: p.Configured.Time,
		Uploads:  p.Config.UploadGlobs(),
		Objects:  map[api.ObjectStatus]int{},
		Snapshot: p.Dataset.Snapshot, Partitions: len(p.Dataset.Partitions), Rows: p.Dataset.Rows,
		Runs: len(p.Runs), Models: len(p.Models), Route: routeRow(p), Dead: len(p.DeadLetters),
		Served: api.ServedRow{Rows: p.Predictions.Rows, Dropped: p.Predictions.Dropped, Last: some(p.Predictions.Last), Traffic: trafficRows(p)},
	}
	s.Superseded = p.Dataset.Superseded
	s.SetAside, s.SetAsideUploads = p.SetAside()
	if late := p.Dataset.Late; late != nil {
		due, _ := p.DataDue()
		s.Late = &api.LateRow{Last: some(p.Dataset.Added), Due: due, Reason: late.Reason, Announced: late.Time}
	}
	s.Reingest = reingestRow(p)
	old := p.Outdated()
	s.Outdated = len(old)
	for _, m := range old[:min(len(old), maxOutdated)] {
		s.OutdatedUploads = append(s.OutdatedUploads, m.Object.Name())
	}
	for _, o := range p.Objects {
		s.Objects[api.ObjectStatus(o.Status)]++
	}
	for _, r := range runRows(p) {
		if r.Status == api.RunStarted {
			s.Running = append(s.Running, r)
		}
		s.Last = &r
	}
	if ms := modelRows(p); len(ms) > 0 {
		s.Newest = &ms[len(ms)-1]
	}
	if w := p.PendingTraining; w != nil {
		s.PendingTraining = &api.PendingTraining{Trigger: w.Trigger, Reason: w.Reason, Since: w.Since, Until: some(w.Until)}
		s.Wish = s.PendingTraining //nolint:staticcheck // under its former name too, for one version
	}
	if n := len(p.Drift.Checks); n > 0 {
		c := p.Drift.Checks[n-1]
		s.Drift = &api.DriftRow{Drifted: c.Drifted, Action: c.Action, Version: c.Version, Rows: c.Rows, Reason: c.Reason, Time: c.Time}
	}
	return s
}

func datasetRows(p *state.Pipeline) []api.DatasetRow {
	var out []api.DatasetRow
	for _, s := range p.Dataset.Snapshots {
		out = append(out, api.DatasetRow{
			Pipeline: p.Name, Snapshot: s.Digest, Partitions: s.Partitions, Rows: s.Rows, Warnings: s.Warnings,
			Current: s == p.Dataset.Snapshots[len(p.Dataset.Snapshots)-1], Created: s.Time, Event: s.Event,
		})
	}
	if n := len(out); n > 0 {
		out[n-1].SetAside, _ = p.SetAside()
	}
	return out
}

func runRows(p *state.Pipeline) []api.RunRow {
	var out []api.RunRow
	for _, r := range p.Runs {
		out = append(out, api.RunRow{
			Pipeline: p.Name, Run: r.Run, Status: api.RunStatus(r.Status), Trigger: r.Trigger, Reason: r.Reason, Snapshot: r.Snapshot,
			Rows: r.TrainRows, Holdout: r.HoldoutRows, Step: r.Step, Metrics: r.Metrics, Version: r.Version, Attempts: r.Attempts,
			Seconds: r.Seconds, Failure: r.Failure, LogTail: r.LogTail, Started: r.Started, Ended: some(r.Ended),
			Warnings: r.Warnings,
		})
	}
	return out
}

func modelRows(p *state.Pipeline) []api.ModelRow {
	var out []api.ModelRow
	for _, m := range p.Models {
		row := api.ModelRow{
			Pipeline: p.Name, Version: m.Version, State: api.ModelState(m.State), Run: m.Run, Name: m.Name, Snapshot: m.Snapshot,
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

func routeRow(p *state.Pipeline) api.RouteRow {
	row := api.RouteRow{Pipeline: p.Name, Champion: p.Route.Champion, Weights: slices.Clone(p.Route.Weights), Changed: some(p.Route.Changed)}
	if row.Weights == nil {
		row.Weights = []events.Weight{}
	}
	slices.SortFunc(row.Weights, func(a, b events.Weight) int { return cmp.Compare(a.Version, b.Version) })
	if r := p.Rollout; r != nil {
		row.Rollout = &api.RolloutRow{
			Version: r.Version, Previous: r.Previous, Strategy: r.Strategy, Steps: r.Steps, Step: r.Step,
			Waiting: r.Waiting, Began: r.Began, Requests: r.Requests, Errors: r.Errors,
		}
	}
	return row
}

func trafficRows(p *state.Pipeline) []api.Traffic {
	var out []api.Traffic
	for _, t := range p.Predictions.Traffic {
		out = append(out, api.Traffic(t))
	}
	return out
}

// some returns nil for the zero time, which JSON then leaves out.
func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
