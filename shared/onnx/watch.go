package onnx

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrTimeout is what a job answers whose run had not ended by Job.Until.
var ErrTimeout = errors.New("the model did not answer in time, and its run was ended")

// Job is a batch, where its answers go, and how long it may take.
type Job struct {
	Context context.Context //nolint:containedctx // of the call that waits
	// Until is when the job is over although Context is not; zero means never. It costs less than a context with a
	// deadline.
	Until  time.Time
	Batch  *Batch
	Scores *Scores
}

// Over returns why the job must end: the cause of its context's end, or ErrTimeout; nil while it may run.
func (j *Job) Over() error {
	if j.Context.Err() != nil {
		return context.Cause(j.Context)
	}
	if !j.Until.IsZero() && !time.Now().Before(j.Until) {
		return ErrTimeout
	}
	return nil
}

// watchEvery is how often runs are looked at.
const watchEvery = 20 * time.Millisecond

// watch ends the runs whose jobs are all over. It looks at them from time to time, so that a run that is short costs
// neither a timer nor an allocation. slots.mu guards it.
type watch struct {
	busy  []*slot
	timer *time.Timer
	armed bool
}

// begin watches the run of s for jobs, until put.
func (p *slots) begin(s *slot, jobs []Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.jobs = append(s.jobs[:0], jobs...)
	p.busy = append(p.busy, s)
	if p.armed {
		return
	}
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(watchEvery, p.look)
	} else {
		p.timer.Reset(watchEvery)
	}
}

// forget ends the watch of s. The caller holds mu.
func (p *slots) forget(s *slot) {
	if i := slices.Index(p.busy, s); i >= 0 {
		last := len(p.busy) - 1
		p.busy[i], p.busy[last] = p.busy[last], nil
		p.busy = p.busy[:last]
	}
	clear(s.jobs)
	s.jobs = s.jobs[:0]
}

// look ends the runs that have to end, and looks again while any are left.
func (p *slots) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.busy {
		if s.ended.IsZero() && s.over() {
			s.ended = time.Now()
			_ = s.options.Terminate() // it only sets a flag
		}
	}
	if p.armed = len(p.busy) > 0; p.armed {
		p.timer.Reset(watchEvery)
	}
}

// over reports whether nobody waits for the run of s.
func (s *slot) over() bool {
	for i := range s.jobs {
		if s.jobs[i].Over() == nil {
			return false
		}
	}
	return true
}

// overdue returns how long ago the oldest run was ended that has not stopped, 0 if all have.
func (p *slots) overdue() (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.busy {
		if !s.ended.IsZero() {
			longest = max(longest, time.Since(s.ended))
		}
	}
	return longest
}
