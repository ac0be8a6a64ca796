package inference

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/events"
)

// outcome is what became of a request.
type outcome struct {
	version *version
	route   string
	at      time.Time
	took    time.Duration
	code    int
	failed  bool
}

// predictionLog gathers what one pipeline answered, until it is cut into a
// batch. Traffic is always counted; rows are kept as sampling and memory allow.
type predictionLog struct {
	pipeline string
	mirrored bool // of answers that went to nobody
	batches  *batches
	canary   atomic.Bool // a rollout waits for evidence

	mu  sync.Mutex
	cut *cut
}

// cut is what a log has gathered: mostly the rows of one layout, and the
// traffic of all.
type cut struct {
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

func (f *F) newLog(pipeline string, mirrored bool) *predictionLog {
	l := &predictionLog{pipeline: pipeline, mirrored: mirrored, batches: f.batches, cut: &cut{pipeline: pipeline, mirrored: mirrored}}
	f.batches.join(l)
	return l
}

// setCanary says whether a rollout waits for evidence: then batches are
// written more often.
func (l *predictionLog) setCanary(is bool) { l.canary.Store(is) }

// maxBatchCost is how much memory a batch takes at most, whatever its rows.
const maxBatchCost = 32 << 20

// add counts a request and, when it is to be logged, takes its rows.
func (l *predictionLog) add(q *request, a outcome, logged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cut
	c.count(q, a)
	if !logged {
		return
	}
	cost := a.version.layout.costOf(q)
	if !l.batches.reserve(cost) {
		c.dropped += int64(q.rows)
		l.batches.meters.dropped.WithLabelValues(l.pipeline).Add(float64(q.rows))
		return
	}
	t := c.table(a.version.layout)
	t.add(q, a)
	t.cost += cost
	c.rows += q.rows
	if c.rows >= l.batches.rows || t.cost >= maxBatchCost {
		l.handOver()
	}
}

// count adds a request to the traffic.
func (c *cut) count(q *request, a outcome) {
	if c.requests == 0 {
		c.began, c.from = time.Now(), a.at
	}
	c.requests++
	if a.at.After(c.to) {
		c.to = a.at
	}
	if a.at.Before(c.from) {
		c.from = a.at
	}
	i := slices.IndexFunc(c.traffic, func(t events.VersionTraffic) bool { return t.Version == a.version.number })
	if i < 0 {
		i = len(c.traffic)
		c.traffic = append(c.traffic, events.VersionTraffic{
			Version: a.version.number, Latency: make([]int64, len(events.LatencyBoundsMs)+1),
		})
	}
	t := &c.traffic[i]
	t.Requests++
	if a.failed {
		t.Errors++
		return
	}
	t.Rows += int64(q.rows)
	for row := range q.rows {
		t.Scores.Add(events.SketchBin(a.version.scoreOf(q, row)), 1)
	}
	at, _ := slices.BinarySearch(events.LatencyBoundsMs, float64(a.took.Nanoseconds())/1e6)
	t.Latency[at]++
}

// table gives the rows of a layout.
func (c *cut) table(l *layout) *rows {
	for _, t := range c.tables {
		if t.layout == l || t.layout.key == l.key {
			return t
		}
	}
	t := l.take()
	c.tables = append(c.tables, t)
	return t
}

// handOver gives what was gathered to be written. The caller holds mu.
func (l *predictionLog) handOver() {
	c := l.cut
	l.cut = &cut{pipeline: l.pipeline, mirrored: l.mirrored}
	l.batches.write(c)
}

// due hands over what has been gathered for so long.
func (l *predictionLog) due(every, canary time.Duration) {
	if l.canary.Load() {
		every = min(every, canary)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut.requests > 0 && time.Since(l.cut.began) >= every {
		l.handOver()
	}
}
