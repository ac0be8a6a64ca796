package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sampleEvery is how often a soak looks at the server.
const sampleEvery = 30 * time.Second

// sample is a part of a soak: what was answered, and what the server held at
// its end.
type sample struct {
	at         time.Duration
	load       result
	usage      usage
	heap       float64 // bytes of Go's heap in use
	goroutines float64
	machine    float64 // the load average, of a machine that others use too
}

// soak loads the server at the rate of the options, or at 70 % of its maximum,
// and prints what its processes hold each time it looks, and how that went.
func soak(o options, bare, s server, work string) (err error) {
	b, err := bare.start(o.port+1, filepath.Join(work, "bare.log"), nil, time.Minute)
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	_, body, err := askOnce(b.address, bare.ways(1)[0])
	b.stop()
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	r, err := s.start(o.port+2, filepath.Join(work, s.name+".log"), nil, time.Minute)
	if err != nil {
		return err
	}
	defer r.stop()
	json := s.ways(1)[0]
	if _, ours, err := askOnce(r.address, json); err != nil || !holds(numbersIn(ours), numbersIn(body)) {
		return fmt.Errorf("answers differ from the bare handler's: %s, %s (%w)", ours, body, err)
	}
	rate := o.rate
	if rate == 0 {
		top, err := load(r.address, json, o.connections, o.duration)
		if err != nil {
			return err
		}
		rate = 0.7 * top.rate()
		fmt.Printf("at most %.0f req/s\n", top.rate())
	}
	fmt.Printf("%s at %.0f req/s\n", o.soak, rate)
	fmt.Println("seconds,answers,failed,p50_ms,p99_ms,cpu_ms,rss_mb,anonymous_mb,heap_mb,goroutines,descriptors,load")
	var all []sample
	began := time.Now()
	for time.Since(began) < o.soak {
		before := r.usage()
		l, err := paced(r.address, json, o.connections, rate, min(sampleEvery, o.soak-time.Since(began)))
		if err != nil {
			return err
		}
		p := sample{at: time.Since(began), load: l, usage: r.usage(), machine: machineLoad()}
		p.heap, p.goroutines = metrics(r.address)
		all = append(all, p)
		cpu := (p.usage.cpu - before.cpu) / time.Duration(max(1, len(l.latencies)))
		fmt.Printf("%.0f,%d,%d,%.3f,%.3f,%.4f,%.1f,%.1f,%.1f,%.0f,%d,%.1f\n", p.at.Seconds(), len(l.latencies), l.failed, ms(l.at(0.5)), ms(l.at(0.99)), ms(cpu),
			float64(p.usage.rss)/1e6, float64(p.usage.anonymous)/1e6, p.heap/1e6, p.goroutines, p.usage.descriptors, p.machine)
	}
	trend(all)
	return nil
}

// trend prints what grew. The first half of a soak is not in the slope: pools
// and caches fill in it.
func trend(all []sample) {
	answers, failed := 0, 0
	for _, p := range all {
		answers, failed = answers+len(p.load.latencies), failed+p.load.failed
	}
	fmt.Printf("%d answers, %d failed\n", answers, failed)
	for _, w := range []struct {
		name string
		of   func(sample) float64
	}{
		{"MB of memory", func(p sample) float64 { return float64(p.usage.rss) / 1e6 }},
		{"MB of it anonymous", func(p sample) float64 { return float64(p.usage.anonymous) / 1e6 }},
		{"goroutines", func(p sample) float64 { return p.goroutines }},
		{"descriptors", func(p sample) float64 { return float64(p.usage.descriptors) }},
	} {
		fmt.Printf("%s: %.1f at first, %.1f at last, %+.1f an hour in the second half\n", w.name, w.of(all[0]), w.of(all[len(all)-1]), slope(all[len(all)/2:], w.of))
	}
}

// slope is by how much a value grows in an hour, by least squares.
func slope(all []sample, of func(sample) float64) float64 {
	var t, v float64
	for _, p := range all {
		t, v = t+p.at.Hours()/float64(len(all)), v+of(p)/float64(len(all))
	}
	var up, down float64
	for _, p := range all {
		up += (p.at.Hours() - t) * (of(p) - v)
		down += (p.at.Hours() - t) * (p.at.Hours() - t)
	}
	if down == 0 {
		return 0
	}
	return up / down
}

// paced is load at a rate: each connection sends on its beat, and at once when
// it is late.
func paced(address string, w way, connections int, rate float64, d time.Duration) (all result, err error) {
	beat := time.Duration(float64(connections) / rate * float64(time.Second))
	var mu sync.Mutex
	var wg sync.WaitGroup
	until := time.Now().Add(d)
	for range connections {
		wg.Go(func() {
			latencies, failed, e := beats(address, w, until, beat)
			mu.Lock()
			defer mu.Unlock()
			all.latencies, all.failed, err = append(all.latencies, latencies...), all.failed+failed, errors.Join(err, e)
		})
	}
	wg.Wait()
	all.wall = d
	slices.Sort(all.latencies)
	return all, err
}

// metrics is what the server says of itself, zeros if it does not.
func metrics(address string) (heap, goroutines float64) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return 0, 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "go_memstats_heap_inuse_bytes":
			heap, _ = strconv.ParseFloat(value, 64)
		case "go_goroutines":
			goroutines, _ = strconv.ParseFloat(value, 64)
		}
	}
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return heap, goroutines
}

func machineLoad() float64 {
	raw, _ := os.ReadFile("/proc/loadavg") // 0 where the file does not exist
	first, _, _ := strings.Cut(string(raw), " ")
	l, _ := strconv.ParseFloat(first, 64)
	return l
}
