package inference

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

// together puts requests of one version that are there at the same time into
// one run of its model. As long as a processor is free, a request goes its own
// way at once; those that come while all of them run the model wait, and go
// together when one has finished. With a wait, a request stays that long for
// others even so. It is safe for concurrent use.
type together struct {
	model *onnx.Model
	rows  int           // of a run, at most
	wait  time.Duration // for others
	runs  int           // at a time
	sizes prometheus.Observer

	mu      sync.Mutex
	waiting []*ticket
	running int
	// gathering is the run that waits for others, full tells it that they are
	// enough.
	gathering bool
	gathered  int // rows of the one that gathers
	full      chan struct{}
	idle      sync.Pool // of tickets
}

// ticket is a request that waits for its rows to be scored. Whoever leads a run
// scores those of the others too, and tells them.
type ticket struct {
	ctx context.Context //nolint:containedctx // of the call that waits
	job onnx.Job
	// told says that it is scored, and err how that ended; or that it is to
	// lead the next run.
	told chan bool
	err  error
	// group and jobs are memory for when it leads.
	group []*ticket
	jobs  []onnx.Job
}

func newTogether(m *onnx.Model, b config.Batch, sizes prometheus.Observer) *together {
	return &together{
		model: m, rows: b.MaxRows, wait: time.Duration(b.MaxWait), runs: runtime.GOMAXPROCS(0), sizes: sizes,
		full: make(chan struct{}, 1), idle: sync.Pool{New: func() any { return &ticket{told: make(chan bool, 1)} }},
	}
}

// score scores a request's rows, maybe with others'. A request that ends while
// it waits is not scored.
func (g *together) score(ctx context.Context, b *onnx.Batch, out *onnx.Scores) error {
	t := g.idle.Get().(*ticket)
	defer func() {
		t.ctx, t.job = nil, onnx.Job{}
		g.idle.Put(t)
	}()
	t.ctx, t.job = ctx, onnx.Job{Batch: b, Scores: out}
	if g.leads(t) {
		return g.lead(t)
	}
	select {
	case lead := <-t.told:
		if !lead {
			return t.err
		}
	case <-ctx.Done():
		if g.withdraw(t) {
			return context.Cause(ctx)
		}
		if lead := <-t.told; !lead { // until then its memory is read
			return t.err
		}
	}
	return g.lead(t)
}

// leads says whether the ticket may run the model now. If not, it waits.
func (g *together) leads(t *ticket) bool {
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

func (g *together) waitingRows() (n int) {
	for _, t := range g.waiting {
		n += t.job.Batch.Rows
	}
	return n
}

// withdraw takes a ticket out of those that wait; false if it is not there.
func (g *together) withdraw(t *ticket) bool {
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
func (g *together) lead(t *ticket) error {
	if g.wait > 0 {
		g.gather(t)
	}
	g.take(t)
	g.run(t)
	g.next()
	for _, other := range t.group[1:] {
		other.told <- false
	}
	clear(t.group)
	clear(t.jobs)
	return t.err
}

// gather waits for others, until they are enough.
func (g *together) gather(t *ticket) {
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
	case <-t.ctx.Done():
	}
	g.mu.Lock()
	g.gathering = false
	g.mu.Unlock()
}

// take makes the group of those that go together, the ticket first.
func (g *together) take(t *ticket) {
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

// run scores the rows of the group, but of those whose time is up. When the
// model fails, each is scored alone: one that is at fault harms no other.
func (g *together) run(t *ticket) {
	t.jobs = t.jobs[:0]
	rows := 0
	for _, one := range t.group {
		if one.err = nil; one.ctx.Err() != nil {
			one.err = context.Cause(one.ctx)
			continue
		}
		t.jobs = append(t.jobs, one.job)
		rows += one.job.Batch.Rows
	}
	if len(t.jobs) == 0 {
		return
	}
	g.sizes.Observe(float64(rows))
	err := g.model.ScoreTogether(t.jobs)
	if err == nil {
		return
	}
	for _, one := range t.group {
		switch {
		case one.err != nil:
		case len(t.jobs) == 1:
			one.err = err
		default:
			one.err = g.model.Score(one.ctx, one.job.Batch, one.job.Scores)
		}
	}
}

// next hands the run over to the first that waits, or ends it. Those that wait
// for a run that gathers are left to that.
func (g *together) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 || g.gathering {
		g.running--
		return
	}
	first := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	first.told <- true
}

// What is put together when the pipeline file does not say.
const (
	// togetherRows is how many rows go together.
	togetherRows = 32
	// togetherTried is how many rows are measured, togetherTimes how often.
	togetherTried, togetherTimes = 8, 5
	// togetherGain is what a row must cost less in company, for what it costs
	// to hand a request to another goroutine and wait for it.
	togetherGain = 30 * time.Microsecond
)

// gains measures whether rows cost so much less in company that it pays.
func (v *version) gains(ctx context.Context) bool {
	alone, err := v.quickest(ctx, 1)
	if err != nil {
		return false
	}
	many, err := v.quickest(ctx, togetherTried)
	return err == nil && alone-many/togetherTried > max(togetherGain, alone/4)
}

// quickest is how long the model takes for so many made-up rows, at best.
func (v *version) quickest(ctx context.Context, rows int) (best time.Duration, err error) {
	b := v.madeUp(rows)
	var out onnx.Scores
	for i := range togetherTimes {
		began := time.Now()
		if err := v.model.Score(ctx, b, &out); err != nil {
			return 0, err
		}
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// puts says how requests of the version go together from now on.
func (v *version) puts(b config.Batch) {
	if b.MaxRows == 0 {
		b.MaxRows = 1
		if v.gain {
			b.MaxRows = togetherRows
		}
	}
	switch had := v.together.Load(); {
	case b.MaxRows == 1:
		v.together.Store(nil)
	case had == nil || had.rows != b.MaxRows || had.wait != time.Duration(b.MaxWait):
		v.together.Store(newTogether(v.model, b, v.meters.rows))
	}
}
