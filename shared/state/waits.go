package state

import "time"

// Waits reports whether anything in the pipeline depends on the clock: the
// deadline of a rollout step, pending training that waits for a pause in the
// uploads, or a run whose end may not have been reported. The gateway checks it
// before it logs the minutely tick, so that idle pipelines do not grow the log.
func (p *Pipeline) Waits() bool {
	if p.Rollout != nil && !p.Rollout.Waiting {
		return true
	}
	if p.PendingTraining != nil && !p.PendingTraining.Until.IsZero() {
		return true
	}
	for _, r := range p.Runs {
		if r.Status == RunStarted {
			return true
		}
	}
	return false
}

// DataDue returns when the next data is expected at the latest, by data.expect:
// after the last partition that was added, before the first after the
// configuration. It returns false if nothing is expected.
func (p *Pipeline) DataDue() (time.Time, bool) {
	if p.Config == nil || p.Config.Spec.Data.Expect.Every == 0 || p.Configured.Imported {
		return time.Time{}, false
	}
	since := p.Dataset.Added
	if since.IsZero() {
		since = p.Configured.Time
	}
	return since.Add(p.Config.Spec.Data.Expect.Late.Std()), true
}

// Overdue reports whether data was due at a time, which has not been emitted.
// The gateway checks it before it logs a tick for the freshness of a dataset.
func (p *Pipeline) Overdue(now time.Time) bool {
	due, expected := p.DataDue()
	return expected && p.Dataset.Late == nil && !now.Before(due)
}
