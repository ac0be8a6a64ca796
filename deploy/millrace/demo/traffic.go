package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/shared/humanize"
)

// connections is the number of concurrent clients.
const connections = 4

// result is the result of sending requests.
type result struct {
	requests, rows, failed int
	// versions counts the requests that each version answered.
	versions map[int]int
	took     []time.Duration
	failure  error // the first
}

// percentile returns the q-quantile of the response times.
func (r result) percentile(q float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.took))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// latency describes the response times.
func (r result) latency() string {
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms", 1000*r.percentile(0.5).Seconds(), 1000*r.percentile(0.95).Seconds())
}

// answeredBy lists how many requests each version answered.
func (r result) answeredBy() string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(r.versions)) {
		parts = append(parts, fmt.Sprintf("v%d %s", v, humanize.Int(r.versions[v])))
	}
	return strings.Join(parts, ", ")
}

// traffic sends the rows of a month over several connections.
type traffic struct {
	client     *client.Client
	month      *month
	perRequest int
	// pause is the time between two requests of one connection, in nanoseconds.
	pause  atomic.Int64
	next   atomic.Int64
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex
	sum    result
}

// send starts to send the month's rows once, or repeatedly if forever is set.
func send(ctx context.Context, c *client.Client, m *month, perRequest int, forever bool, perSecond int) *traffic {
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{client: c, month: m, perRequest: perRequest, cancel: cancel, sum: result{versions: map[int]int{}}}
	t.rate(perSecond)
	for range connections {
		t.wait.Go(func() { t.connection(ctx, forever) })
	}
	return t
}

// rate sets the number of requests per second; 0 means as many as possible.
func (t *traffic) rate(perSecond int) {
	if perSecond == 0 {
		t.pause.Store(0)
		return
	}
	t.pause.Store(int64(time.Second) * connections / int64(perSecond))
}

func (t *traffic) connection(ctx context.Context, forever bool) {
	pace := time.NewTimer(0)
	defer pace.Stop()
	for ctx.Err() == nil {
		n := int(t.next.Add(1)) - 1
		from := n * t.perRequest
		if from >= t.month.Rows {
			if !forever {
				return
			}
			from %= t.month.Rows
		}
		to := min(from+t.perRequest, t.month.Rows)
		if pause := t.pause.Load(); pause > 0 {
			pace.Reset(time.Duration(pause))
			select {
			case <-pace.C:
			case <-ctx.Done():
				return
			}
		}
		t.one(ctx, t.month.requestID(n+1), from, to)
	}
}

func (t *traffic) one(ctx context.Context, id string, from, to int) {
	body, err := t.month.request(id, from, to)
	began := time.Now()
	version := 0
	if err == nil {
		version, err = t.client.Infer(ctx, pipeline, body)
	}
	took := time.Since(began)
	if errors.Is(err, context.Canceled) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.requests++
	t.sum.rows += to - from
	if err != nil {
		t.sum.failed++
		if t.sum.failure == nil {
			t.sum.failure = err
		}
		return
	}
	t.sum.versions[version]++
	t.sum.took = append(t.sum.took, took)
}

// done waits until all rows are sent.
func (t *traffic) done() result {
	t.wait.Wait()
	return t.so()
}

// so returns the result so far.
func (t *traffic) so() result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.sum
	r.versions, r.took = maps.Clone(r.versions), slices.Clone(r.took)
	return r
}

// stop stops sending and returns the result.
func (t *traffic) stop() result {
	t.cancel()
	return t.done()
}
