package main

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// result of a load: the latencies of all answered requests, sorted.
type result struct {
	latencies []time.Duration
	wall      time.Duration
	failed    int
}

func (r result) rate() float64 { return float64(len(r.latencies)) / r.wall.Seconds() }

func (r result) at(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}

// load sends requests over each of the connections for the duration d. Each
// connection has one request under way at a time.
func load(address string, w way, connections int, d time.Duration) (result, error) {
	var (
		mu    sync.Mutex
		all   result
		errs  []error
		wg    sync.WaitGroup
		began = time.Now()
		until = began.Add(d)
	)
	for range connections {
		wg.Go(func() {
			latencies, failed, err := beats(address, w, until, 0)
			mu.Lock()
			defer mu.Unlock()
			all.latencies = append(all.latencies, latencies...)
			all.failed += failed
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	all.wall = time.Since(began)
	slices.Sort(all.latencies)
	return all, errors.Join(errs...)
}

// beats sends requests over one connection until the given time, one in each
// interval of length beat. A request that is late is sent at once; with a beat of
// 0, all are.
func beats(address string, w way, until time.Time, beat time.Duration) (latencies []time.Duration, failed int, err error) {
	c, err := w.open(address)
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	next := time.Now()
	for time.Now().Before(until) {
		if beat > 0 {
			<-time.After(time.Until(next))
			next = next.Add(beat)
		}
		began := time.Now()
		status, err := c.ask(nil)
		if err != nil {
			return latencies, failed, err
		}
		if status != 200 {
			failed++
			continue
		}
		latencies = append(latencies, time.Since(began))
	}
	return latencies, failed, nil
}
