package state

import (
	"slices"
	"time"

	"millrace.dev/events"
)

func (p *Pipeline) runStarted(h events.Header, d events.TrainingStarted) bool {
	if p.Run(d.Run) != nil {
		return false
	}
	p.Runs = append(slices.Clip(p.Runs), &Run{TrainingStarted: d, Status: RunStarted, Started: h.Time, Event: h.ID})
	if p.PendingTraining != nil && p.PendingTraining.settledBy(d) {
		p.PendingTraining = nil
	}
	if d.Snapshot == p.Dataset.Snapshot {
		p.Dataset.NewRows, p.Dataset.NewPartitions = 0, 0
	}
	return true
}

// settledBy reports whether the run was started for the pending training: it
// names all of its causes. A requested run on old data leaves drift waiting for
// new data.
func (t *PendingTraining) settledBy(d events.TrainingStarted) bool {
	return !slices.ContainsFunc(t.Because, func(id string) bool { return !slices.Contains(d.Causes, id) })
}

// changeRun applies change to a copy of the run.
func (p *Pipeline) changeRun(id string, change func(*Run)) bool {
	i := slices.IndexFunc(p.Runs, func(r *Run) bool { return r.Run == id })
	if i < 0 {
		return false
	}
	r := *p.Runs[i]
	change(&r)
	p.Runs = slices.Clone(p.Runs)
	p.Runs[i] = &r
	return true
}

func (r *Run) progress(d events.TrainingProgressed) {
	if r.Status == RunStarted && d.Step >= r.Step {
		r.Step, r.Metrics = d.Step, d.Metrics
	}
}

func (r *Run) fail(h events.Header, d events.TrainingFailed) {
	if r.Status != RunStarted {
		return
	}
	r.Status, r.Ended, r.Failure, r.LogTail, r.Log = RunFailed, h.Time, d.Reason, d.LogTail, d.Log
	r.Attempts, r.Seconds = d.Attempts, d.Seconds
}

func (p *Pipeline) runCompleted(h events.Header, d events.TrainingCompleted) bool {
	run := p.Run(d.Run)
	if run == nil || run.Status != RunStarted {
		return false
	}
	version := p.addModel(&Model{
		State: Candidate, Run: d.Run, Snapshot: run.Snapshot, Model: d.Model, Created: h.Time, Event: h.ID,
	})
	return p.changeRun(d.Run, func(r *Run) {
		r.Status, r.Ended, r.Version, r.Log = RunCompleted, h.Time, version, d.Log
		r.Attempts, r.Seconds = d.Attempts, d.Seconds
		if len(d.Metrics) > 0 {
			r.Metrics = d.Metrics
		}
	})
}

func (p *Pipeline) addModel(m *Model) int {
	m.Version = len(p.Models) + 1
	p.Models = append(slices.Clip(p.Models), m)
	return m.Version
}

func (p *Pipeline) skipped(h events.Header, d events.TrainingSkipped) bool {
	if !d.Waits {
		return false
	}
	next := &PendingTraining{Trigger: d.Trigger, Reason: d.Reason, Because: d.Causes, Since: h.Time, Until: parseTime(d.Until)}
	if p.PendingTraining != nil {
		next = p.PendingTraining.merge(next)
	}
	p.PendingTraining = next
	return true
}

// merge returns what waits after next was added: the stronger trigger, for the
// causes of both. The time of next replaces that of t, unless next was decided
// without knowing of t (it does not name the causes of t) and either is the
// weaker of the two or has no time: then the earlier time stays.
func (t *PendingTraining) merge(next *PendingTraining) *PendingTraining {
	merged := *next
	merged.Trigger = strongerTrigger(t.Trigger, next.Trigger)
	merged.Because = union(t.Because, next.Because)
	merged.Since = t.Since
	knew := len(union(next.Because, t.Because)) == len(next.Because)
	if !knew && (next.Until.IsZero() || merged.Trigger != next.Trigger) {
		merged.Until = earlier(t.Until, next.Until)
	}
	return &merged
}

// triggers are what asks for training, the weakest first: an upload may have to
// wait for others (train.after), all others train on the data that is there.
var triggers = []string{"upload", "schedule", "rejection", "drift", "request"}

// strongerTrigger returns the trigger that rules when both ask for the same
// training. An unknown trigger is the weakest.
func strongerTrigger(a, b string) string {
	if slices.Index(triggers, b) > slices.Index(triggers, a) {
		return b
	}
	return a
}

// earlier returns the earlier time; a zero time counts as unset.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func (p *Pipeline) judged(d events.Evaluation, approved bool) bool {
	return p.changeModel(d.Version, func(m *Model) {
		m.Approved = approved
		switch {
		case !approved && m.State == Candidate:
			m.State = Rejected
		case approved && m.State == Rejected:
			m.State = Candidate
		}
		d.Score.Slices = nil
		if d.Champion != nil {
			c := *d.Champion
			c.Slices = nil
			d.Champion = &c
		}
		m.Evaluation = &d
	})
}

// changeModel applies change to a copy of the version.
func (p *Pipeline) changeModel(version int, change func(*Model)) bool {
	if p.Model(version) == nil {
		return false
	}
	m := *p.Models[version-1]
	change(&m)
	p.Models = slices.Clone(p.Models)
	p.Models[version-1] = &m
	return true
}
