package state

import (
	"slices"
	"strings"
	"time"

	"millrace.dev/events"
)

func (p *Pipeline) rolloutStarted(h events.Header, d events.RolloutStarted) bool {
	if p.Model(d.Version) == nil {
		return false
	}
	if old := p.Rollout; old != nil && old.Version != d.Version {
		p.standDown(old.Version)
	}
	p.Rollout = &Rollout{RolloutStarted: d, Waiting: d.Waits, Began: h.Time}
	p.route(h, d.Weights)
	return p.changeModel(d.Version, func(m *Model) { m.State = Canary })
}

func (p *Pipeline) rolloutAdvanced(h events.Header, d events.RolloutAdvanced) bool {
	if p.Rollout == nil || p.Rollout.Version != d.Version {
		return false
	}
	r := *p.Rollout
	r.Step, r.Waiting = d.Step, d.Waits
	if !d.Waits {
		r.Began, r.Requests, r.Errors, r.Latency = h.Time, 0, 0, nil
	}
	p.Rollout = &r
	p.route(h, d.Weights)
	return true
}

func (p *Pipeline) rolloutCompleted(h events.Header, d events.RolloutCompleted) bool {
	if p.Model(d.Version) == nil {
		return false
	}
	if old := p.Route.Champion; old != 0 && old != d.Version {
		p.changeModel(old, func(m *Model) { m.State = Archived })
		p.Route.Champions = append(slices.Clip(p.Route.Champions), old)
	}
	p.Route.Champion = d.Version
	p.Rollout = nil
	p.route(h, d.Weights)
	return p.changeModel(d.Version, func(m *Model) { m.State, m.Served = Champion, true })
}

func (p *Pipeline) rolloutAborted(h events.Header, d events.RolloutAborted) bool {
	if p.Model(d.Version) == nil {
		return false
	}
	if p.Rollout != nil && p.Rollout.Version == d.Version {
		p.Rollout = nil
	}
	p.standDown(d.Version)
	p.route(h, d.Weights)
	if d.Version == p.Route.Champion && len(d.Weights) > 0 {
		p.Route.Champion = heaviest(d.Weights)
		p.Route.Champions = slices.DeleteFunc(slices.Clone(p.Route.Champions), func(v int) bool { return v == p.Route.Champion })
		p.changeModel(p.Route.Champion, func(m *Model) { m.State, m.Served = Champion, true })
	}
	return true
}

func (p *Pipeline) standDown(version int) {
	p.changeModel(version, func(m *Model) { m.State = Archived })
}

func heaviest(ws []events.Weight) int {
	return slices.MaxFunc(ws, func(a, b events.Weight) int {
		switch {
		case a.Percent < b.Percent:
			return -1
		case a.Percent > b.Percent:
			return 1
		}
		return 0
	}).Version
}

func (p *Pipeline) route(h events.Header, ws []events.Weight) {
	if len(ws) > 0 {
		p.Route.Weights, p.Route.Changed = ws, h.Time
	}
}

func (p *Pipeline) predicted(h events.Header, d events.PredictionsLogged) bool {
	if d.Mirrored {
		return true // no client was served, and nothing depends on it
	}
	pr := &p.Predictions
	pr.Batches++
	pr.Rows += d.Rows
	pr.Dropped += d.Dropped
	pr.Last = h.Time
	pr.Traffic = slices.Clone(pr.Traffic)
	// A clone: the id is a substring of all the message's headers, which are a dozen times as long.
	batch := &Batch{Ref: d.Batch, Rows: d.Rows, From: d.From, To: d.To, Event: strings.Clone(h.ID)}
	for _, v := range d.Versions {
		batch.Versions = append(batch.Versions, v.Version)
		i := slices.IndexFunc(pr.Traffic, func(t Traffic) bool { return t.Version == v.Version })
		if i < 0 {
			i = len(pr.Traffic)
			pr.Traffic = append(pr.Traffic, Traffic{Version: v.Version})
		}
		pr.Traffic[i].Requests += v.Requests
		pr.Traffic[i].Rows += v.Rows
		pr.Traffic[i].Errors += v.Errors
		p.canaryAnswered(v)
	}
	p.compared(d.Versions)
	if d.Rows > 0 {
		pr.Unchecked = last(pr.Unchecked, MaxUnchecked, batch)
		pr.UncheckedRows = 0
		for _, b := range pr.Unchecked {
			pr.UncheckedRows += b.Rows
		}
	}
	return true
}

// canaryAnswered adds to the evidence of the current step. Pinned requests to a
// canary without traffic do not count as evidence. A canary that has traffic is
// watched even while it waits for approval.
func (p *Pipeline) canaryAnswered(v events.VersionTraffic) {
	if p.Rollout == nil || p.Rollout.Version != v.Version || p.Route.Percent(v.Version) == 0 {
		return
	}
	r := *p.Rollout
	r.Requests += v.Requests
	r.Errors += v.Errors
	latency := make([]int64, len(events.LatencyBoundsMs)+1)
	copy(latency, r.Latency)
	for i, n := range v.Latency {
		if i < len(latency) {
			latency[i] += n
		}
	}
	r.Latency = latency
	p.Rollout = &r
}

// compared adds a batch to the evidence of the rollout.
func (p *Pipeline) compared(versions []events.VersionTraffic) {
	if p.Rollout == nil || p.Config == nil || p.Route.Percent(p.Rollout.Version) == 0 {
		return
	}
	var champion, canary events.VersionTraffic
	for _, v := range versions {
		switch v.Version {
		case p.Route.Champion:
			champion = v
		case p.Rollout.Version:
			canary = v
		}
	}
	r := *p.Rollout
	r.observe(p.Config.Spec.Promote.Guardrails, champion, canary)
	p.Rollout = &r
}

// LatencyMs returns the quantile q of the latency of the canary's requests in
// this step, in milliseconds: the upper bound of its bucket, 0 without
// requests.
func (r *Rollout) LatencyMs(q float64) float64 {
	var total int64
	for _, n := range r.Latency {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank, seen := q*float64(total), int64(0)
	for i, n := range r.Latency {
		seen += n
		if float64(seen) >= rank {
			return events.LatencyBoundsMs[min(i, len(events.LatencyBoundsMs)-1)]
		}
	}
	return events.LatencyBoundsMs[len(events.LatencyBoundsMs)-1]
}

func (p *Pipeline) checked(h events.Header, d events.DriftCheck, action string, drifted bool) bool {
	p.Drift.Checks = last(p.Drift.Checks, MaxChecks, &Check{DriftCheck: d, Drifted: drifted, Action: action, Time: h.Time, Event: h.ID})
	if drifted {
		p.Drift.Detected = h.Time
	}
	// Batches that arrived during the check stay unchecked.
	upTo := slices.IndexFunc(p.Predictions.Unchecked, func(b *Batch) bool { return b.Event == d.Last })
	if upTo >= 0 {
		p.Predictions.Unchecked = slices.Clone(p.Predictions.Unchecked[upTo+1:])
		p.Predictions.UncheckedRows = 0
		for _, b := range p.Predictions.Unchecked {
			p.Predictions.UncheckedRows += b.Rows
		}
	}
	return true
}

func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
