package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// soak finds the server's maximum, then loads it at 70 % of that, and prints
// what its processes hold, ten times and at the end.
func soak(o options, bare, s server, work string) error {
	b, err := bare.start(o.port+1, filepath.Join(work, "bare.log"), nil, time.Minute)
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	_, body, err := ask(b.address, httpRequest(bare.path, bare.body(1)))
	b.stop()
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	r, err := s.start(o.port+2, filepath.Join(work, s.name+".log"), nil, time.Minute)
	if err != nil {
		return err
	}
	defer r.stop()
	request := httpRequest(s.path, s.body(1))
	if _, ours, err := ask(r.address, request); err != nil || !holds(ours, numbersIn(body)) {
		return fmt.Errorf("answers differ from the bare handler's: %s, %s (%w)", ours, body, err)
	}
	top, err := load(r.address, request, o.connections, o.duration)
	if err != nil {
		return err
	}
	rate := 0.7 * top.rate()
	fmt.Printf("at most %.0f req/s; %s at %.0f req/s\n", top.rate(), o.soak, rate)
	const parts = 10
	for part := range parts {
		l, err := paced(r.address, request, o.connections, rate, o.soak/parts)
		if err != nil {
			return err
		}
		u := r.usage()
		fmt.Printf("%8s  %9d answers  %d failed  p50 %.3f ms  p99 %.3f ms  RSS %.1f MB  %d descriptors  %s goroutines\n",
			(time.Duration(part+1) * o.soak / parts).Round(time.Second), len(l.latencies), l.failed, ms(l.at(0.5)), ms(l.at(0.99)),
			float64(u.rss)/1e6, u.descriptors, goroutines(r.address))
	}
	return nil
}

// paced is load at a rate: each connection sends on its beat, and at once when
// it is late.
func paced(address string, request []byte, connections int, rate float64, d time.Duration) (all result, err error) {
	beat := time.Duration(float64(connections) / rate * float64(time.Second))
	var mu sync.Mutex
	var wg sync.WaitGroup
	until := time.Now().Add(d)
	for range connections {
		wg.Go(func() {
			latencies, failed, e := beats(address, request, until, beat)
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

// goroutines is what the server says of itself.
func goroutines(address string) string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return "?"
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "?"
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "?"
}
