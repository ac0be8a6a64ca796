package predictionlog

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/inference/codec"
)

// Answer is the result of a request.
type Answer struct {
	Version int
	Route   string
	Layout  *Layout
	At      time.Time     // when the request had arrived
	Took    time.Duration // until the answer was written
	Failed  bool
}

// Log gathers what one pipeline answered, until it is handed over as a batch.
// Traffic is always counted; rows are kept as sampling and memory allow. It is
// safe for concurrent use.
type Log struct {
	pipeline string
	mirrored bool // of answers that were not sent to clients
	writer   *Writer
	canary   atomic.Bool // a rollout waits for evidence

	mu     sync.Mutex
	buffer *buffer
}

// buffer is what a log has gathered: mostly the rows of one layout, and the
// traffic of all.
type buffer struct {
	pipeline string
	mirrored bool
	tables   []*rows
	traffic  []events.VersionTraffic
	requests int64
	rows     int
	dropped  int64
	began    time.Time // when the first request came in
	from, to time.Time
}

// NewLog returns the log of a pipeline; with mirrored, of repeated requests,
// whose answers are not sent to clients.
func (w *Writer) NewLog(pipeline string, mirrored bool) *Log {
	l := &Log{pipeline: pipeline, mirrored: mirrored, writer: w, buffer: &buffer{pipeline: pipeline, mirrored: mirrored}}
	w.join(l)
	return l
}

// SetCanary sets whether a rollout waits for evidence: then batches are written
// more often.
func (l *Log) SetCanary(is bool) { l.canary.Store(is) }

// maxBatchCost bounds the memory of a batch.
const maxBatchCost = 32 << 20

// Add counts a request and, if logged, takes its rows.
func (l *Log) Add(q *codec.Request, a Answer, logged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.buffer
	c.count(q, a)
	if !logged {
		return
	}
	cost := a.Layout.costOf(q)
	if !l.writer.reserve(cost) {
		c.dropped += int64(q.Rows)
		l.writer.metrics.dropped.WithLabelValues(l.pipeline).Add(float64(q.Rows))
		return
	}
	t := c.table(a.Layout)
	t.add(q, a)
	t.cost += cost
	c.rows += q.Rows
	if c.rows >= l.writer.options.Rows || t.cost >= maxBatchCost {
		l.handOver()
	}
}

// count adds a request to the traffic.
func (c *buffer) count(q *codec.Request, a Answer) {
	if c.requests == 0 {
		c.began, c.from = time.Now(), a.At
	}
	c.requests++
	if a.At.After(c.to) {
		c.to = a.At
	}
	if a.At.Before(c.from) {
		c.from = a.At
	}
	i := slices.IndexFunc(c.traffic, func(t events.VersionTraffic) bool { return t.Version == a.Version })
	if i < 0 {
		i = len(c.traffic)
		c.traffic = append(c.traffic, events.VersionTraffic{
			Version: a.Version, Latency: make([]int64, len(events.LatencyBoundsMs)+1),
		})
	}
	t := &c.traffic[i]
	t.Requests++
	if a.Failed {
		t.Errors++
		return
	}
	t.Rows += int64(q.Rows)
	if len(q.Undefined) == q.Rows {
		t.Errors++
	}
	for row := range q.Rows {
		if score, ok := a.Layout.scoreOf(q, row); ok {
			t.Scores.Add(events.SketchBin(score), 1)
		}
	}
	at, _ := slices.BinarySearch(events.LatencyBoundsMs, float64(a.Took.Nanoseconds())/1e6)
	t.Latency[at]++
}

// table returns the rows of a layout.
func (c *buffer) table(l *Layout) *rows {
	for _, t := range c.tables {
		if t.layout == l || t.layout.key == l.key {
			return t
		}
	}
	t := l.take()
	c.tables = append(c.tables, t)
	return t
}

// handOver queues what was gathered to be written. The caller holds mu.
func (l *Log) handOver() {
	c := l.buffer
	l.buffer = &buffer{pipeline: l.pipeline, mirrored: l.mirrored}
	l.writer.queue(c)
}

// flush hands over what has been gathered for at least every.
func (l *Log) flush(every, canary time.Duration) {
	if l.canary.Load() {
		every = min(every, canary)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buffer.requests > 0 && time.Since(l.buffer.began) >= every {
		l.handOver()
	}
}
