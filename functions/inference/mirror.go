package inference

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/state"
)

// mirrors repeats answered requests to the candidate, one at a time, from a
// bounded queue. What does not fit is dropped and counted, so that answers are
// not delayed. The candidate's answers are logged, with the route mirror, in
// batches of their own.
type mirrors struct {
	f       *F
	waiting chan *mirrored
	bytes   atomic.Int64
}

// mirrored is a request to be repeated.
type mirrored struct {
	served  *served
	version *version // held
	call    codec.Call
	request *codec.Request
	cost    int64
}

const (
	// maxMirrored and maxMirroredBytes bound what waits.
	maxMirrored      = 256
	maxMirroredBytes = 32 << 20
)

func newMirrors(f *F) *mirrors {
	return &mirrors{f: f, waiting: make(chan *mirrored, maxMirrored)}
}

// copyOf returns a copy of the request if it is to be mirrored, else nil. It
// must be called before the body is read, which changes it.
func (m *mirrors) copyOf(s *served, c codec.Call, q *codec.Request) *mirrored {
	if s.mirror == nil || c.Version != "" || rand.Float64()*100 >= s.mirrorPercent {
		return nil
	}
	cost := int64(len(q.Body)) + 1024
	if m.bytes.Add(cost) > maxMirroredBytes || len(m.waiting) == cap(m.waiting) {
		m.bytes.Add(-cost)
		m.f.metrics.mirrored.WithLabelValues(s.name, "dropped").Inc()
		return nil
	}
	again := m.f.take()
	again.CopyBody(q, c.Protocol)
	return &mirrored{served: s, call: c, request: again, cost: cost}
}

// offer hands over a request that was answered under an id.
func (m *mirrors) offer(a *mirrored, id []byte) {
	a.call.ID = string(id)
	if a.version = a.served.mirror; a.version.acquire() {
		select {
		case m.waiting <- a:
			return
		default:
			a.version.release()
		}
	}
	m.f.metrics.mirrored.WithLabelValues(a.served.name, "dropped").Inc()
	m.drop(a)
}

// drop releases a request that is not repeated.
func (m *mirrors) drop(a *mirrored) {
	m.bytes.Add(-a.cost)
	m.f.put(a.request)
}

// run repeats requests until ctx ends.
func (m *mirrors) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-m.waiting:
			m.ask(ctx, a)
			a.version.release()
			m.drop(a)
		}
	}
}

func (m *mirrors) ask(ctx context.Context, a *mirrored) {
	began := time.Now()
	s, v, q := a.served, a.version, a.request
	err := q.Read(v.schema, a.call, s.limits)
	if err == nil {
		err = v.score(ctx, began.Add(s.limiter.timeout), q)
	}
	p := prediction{served: s, version: v, route: routeMirror, began: began}
	if err != nil {
		m.f.metrics.mirrored.WithLabelValues(s.name, "failed").Inc()
		s.mirrorLog.Add(q, p.outcome(time.Since(began), true), false)
		return
	}
	q.Classify()
	m.f.metrics.mirrored.WithLabelValues(s.name, "answered").Inc()
	s.mirrorLog.Add(q, p.outcome(time.Since(began), false), s.sampled())
}

// candidate returns the version that gets mirrored requests: the newest that
// was approved, is newer than the champion, and has neither served nor traffic;
// 0 if no version qualifies.
func candidate(p *state.Pipeline) int {
	newest := 0
	for _, m := range p.Models {
		if m.Approved && !m.Served && (m.State == state.Candidate || m.State == state.Canary) && m.Version > p.Route.Champion && p.Route.Percent(m.Version) == 0 {
			newest = max(newest, m.Version)
		}
	}
	return newest
}
