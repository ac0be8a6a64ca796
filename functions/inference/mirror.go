package inference

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"millrace.dev/shared/state"
)

// mirrors asks the version that waits for its turn what others have answered,
// after they did: one request at a time, from a bounded queue. What does not
// fit is dropped and counted, so that no answer is slower for it. The answers
// are logged, by the route mirror, in batches of their own.
type mirrors struct {
	f       *F
	waiting chan *mirrored
	bytes   atomic.Int64
}

// mirrored is a request to be asked again.
type mirrored struct {
	served  *served
	version *version // held
	call    call
	request *request
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

// copyOf is the request as it came, if it is to be mirrored; nil if not.
// Reading the body changes it, so that it is copied before.
func (m *mirrors) copyOf(s *served, c call, q *request) *mirrored {
	if s.mirror == nil || c.version != "" || rand.Float64()*100 >= s.mirrorPercent {
		return nil
	}
	cost := int64(len(q.body)) + 1024
	if m.bytes.Add(cost) > maxMirroredBytes || len(m.waiting) == cap(m.waiting) {
		m.bytes.Add(-cost)
		m.f.meters.mirrored.WithLabelValues(s.name, "dropped").Inc()
		return nil
	}
	again := m.f.take()
	again.body = append(again.body, q.body...)
	again.header, again.bare, again.rpc = q.header, q.bare, q.rpc
	if again.raw = nil; q.raw != nil {
		again.raw = again.body[again.header:]
	}
	if q.rpc {
		_ = again.message.read(again.body[again.header:]) // it has been read before
	}
	return &mirrored{served: s, call: c, request: again, cost: cost}
}

// offer hands over a request that was answered under an id.
func (m *mirrors) offer(a *mirrored, id []byte) {
	a.call.id = string(id)
	if a.version = a.served.mirror; a.version.acquire() {
		select {
		case m.waiting <- a:
			return
		default:
			a.version.release()
		}
	}
	m.f.meters.mirrored.WithLabelValues(a.served.name, "dropped").Inc()
	m.drop(a)
}

// drop gives back what a request that is not asked again takes.
func (m *mirrors) drop(a *mirrored) {
	m.bytes.Add(-a.cost)
	m.f.put(a.request)
}

// run asks until ctx ends.
func (m *mirrors) run(ctx context.Context) {
	defer m.f.tasks.Done()
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
	err := q.parse(s, v, a.call, m.f.cfg.MaxRows)
	if err == nil {
		err = m.f.score(ctx, v, q)
	}
	o := outcome{version: v, route: routeMirror, at: began, took: time.Since(began), code: http.StatusOK}
	if err != nil {
		m.f.meters.mirrored.WithLabelValues(s.name, "failed").Inc()
		o.failed = true
		s.mirrorLog.add(q, o, false)
		return
	}
	q.label(v)
	o.took = time.Since(began)
	m.f.meters.mirrored.WithLabelValues(s.name, "answered").Inc()
	s.mirrorLog.add(q, o, s.sampled())
}

// candidate is the version that mirrored requests are for: the newest that was
// approved, is newer than the champion, and has neither served nor traffic; 0
// if there is none.
func candidate(p *state.Pipeline) int {
	newest := 0
	for _, m := range p.Models {
		if m.Approved && !m.Served && (m.State == state.Candidate || m.State == state.Canary) && m.Version > p.Route.Champion && p.Route.Percent(m.Version) == 0 {
			newest = max(newest, m.Version)
		}
	}
	return newest
}
