// Package batcher puts requests of one model version that arrive at the same
// time into one run of the model (dynamic batching).
package batcher

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/shared/onnx"
)

// Batcher batches the requests of one version. As long as a processor is free,
// a request runs unbatched at once. Requests that arrive while all processors
// run the model wait, and share the next run. With a MaxWait, a request waits
// that long for others even if a processor is free. It is safe for concurrent
// use.
type Batcher struct {
	model *onnx.Model
	rows  int           // of a run, at most
	wait  time.Duration // for others
	runs  int           // at a time
	sizes prometheus.Observer

	mu      sync.Mutex
	waiting []*ticket
	running int
	// gathering is set while a run waits for others; full signals that enough
	// have arrived.
	gathering bool
	gathered  int // rows of the request that gathers
	full      chan struct{}
	idle      sync.Pool // of tickets
}

// ticket is a request that waits for its rows to be scored. The request that
// leads a run scores the rows of the others too.
type ticket struct {
	job onnx.Job
	// done receives false when the ticket is scored (see err), and true when it
	// must lead the next run.
	done chan bool
	err  error
	// group and jobs are memory for when it leads.
	group []*ticket
	jobs  []onnx.Job
}

// New returns a Batcher of b.MaxRows rows a run, which observes the rows of
// each run.
func New(m *onnx.Model, b config.Batch, rows prometheus.Observer) *Batcher {
	return &Batcher{
		model: m, rows: b.MaxRows, wait: time.Duration(b.MaxWait), runs: runtime.GOMAXPROCS(0), sizes: rows,
		full: make(chan struct{}, 1), idle: sync.Pool{New: func() any { return &ticket{done: make(chan bool, 1)} }},
	}
}

// Configured reports whether the Batcher was made with these settings.
func (g *Batcher) Configured(b config.Batch) bool {
	return g.rows == b.MaxRows && g.wait == time.Duration(b.MaxWait)
}

// Takes reports whether a request of so many rows can share a run.
func (g *Batcher) Takes(rows int) bool { return rows < g.rows }

// Run scores a request's rows, maybe batched with others'. A request that is
// over while it waits is not scored, and a run is ended when all of its requests
// are over.
func (g *Batcher) Run(job onnx.Job) error {
	t := g.idle.Get().(*ticket)
	defer func() {
		t.job = onnx.Job{}
		g.idle.Put(t)
	}()
	t.job = job
	if g.leads(t) {
		return g.lead(t)
	}
	select {
	case lead := <-t.done:
		if !lead {
			return t.err
		}
	case <-job.Context.Done():
		if g.withdraw(t) {
			return context.Cause(job.Context)
		}
		if lead := <-t.done; !lead { // until then its memory is read
			return t.err
		}
	}
	return g.lead(t)
}

// leads reports whether the ticket may run the model now. If not, it is queued.
func (g *Batcher) leads(t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running < g.runs && !g.gathering {
		g.running++
		return true
	}
	g.waiting = append(g.waiting, t)
	if g.gathering && g.gathered+g.waitingRows() >= g.rows {
		select {
		case g.full <- struct{}{}:
		default:
		}
	}
	return false
}

func (g *Batcher) waitingRows() (n int) {
	for _, t := range g.waiting {
		n += t.job.Batch.Rows
	}
	return n
}

// withdraw takes a ticket out of the queue; false if it is not there.
func (g *Batcher) withdraw(t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, t)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// lead runs the model over the ticket's rows and those of others that wait.
func (g *Batcher) lead(t *ticket) error {
	if g.wait > 0 {
		g.gather(t)
	}
	g.take(t)
	g.run(t)
	g.next()
	for _, other := range t.group[1:] {
		other.done <- false
	}
	clear(t.group)
	clear(t.jobs)
	return t.err
}

// gather waits until enough others have arrived, or MaxWait has passed.
func (g *Batcher) gather(t *ticket) {
	g.mu.Lock()
	rows := t.job.Batch.Rows
	if g.gathering || rows+g.waitingRows() >= g.rows {
		g.mu.Unlock()
		return
	}
	g.gathering, g.gathered = true, rows
	select {
	case <-g.full: // of the last time
	default:
	}
	g.mu.Unlock()
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.full:
	case <-t.job.Context.Done():
	}
	g.mu.Lock()
	g.gathering = false
	g.mu.Unlock()
}

// take moves as many queued tickets as fit into the ticket's group, itself first.
func (g *Batcher) take(t *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.group = append(t.group[:0], t)
	rows, n := t.job.Batch.Rows, 0
	for _, other := range g.waiting {
		if rows += other.job.Batch.Rows; rows > g.rows {
			break
		}
		t.group = append(t.group, other)
		n++
	}
	g.waiting = slices.Delete(g.waiting, 0, n)
}

// run scores the group's rows, except of those that are over. When the model
// fails, each is scored unbatched, so that one bad request does not fail the
// others.
func (g *Batcher) run(t *ticket) {
	t.jobs = t.jobs[:0]
	rows := 0
	for _, one := range t.group {
		if one.err = one.job.Over(); one.err != nil {
			continue
		}
		t.jobs = append(t.jobs, one.job)
		rows += one.job.Batch.Rows
	}
	if len(t.jobs) == 0 {
		return
	}
	g.sizes.Observe(float64(rows))
	err := g.model.RunTogether(t.jobs)
	if err == nil {
		return
	}
	for _, one := range t.group {
		switch {
		case one.err != nil:
		case len(t.jobs) == 1:
			one.err = err
		default:
			one.err = g.model.Run(&one.job)
		}
	}
}

// next lets the first queued ticket lead the next run, or ends the run. While
// another run gathers, the queue is left to it.
func (g *Batcher) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 || g.gathering {
		g.running--
		return
	}
	first := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	first.done <- true
}
