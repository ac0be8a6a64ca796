package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
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

// load sends the request over each of the connections, one after the other,
// for as long as said. It writes bytes that were made before and reads no more
// of an answer than it must, so that the cores are the server's.
func load(address string, request []byte, connections int, d time.Duration) (result, error) {
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
			latencies, failed, err := beats(address, request, until, 0)
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

// beats sends the request over one connection, a beat after the last at the
// soonest, and at once when it is late.
func beats(address string, request []byte, until time.Time, beat time.Duration) (latencies []time.Duration, failed int, err error) {
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	next := time.Now()
	for time.Now().Before(until) {
		if beat > 0 {
			<-time.After(time.Until(next))
			next = next.Add(beat)
		}
		began := time.Now()
		if err := c.SetDeadline(began.Add(30 * time.Second)); err != nil {
			return latencies, failed, err
		}
		if _, err := c.Write(request); err != nil {
			return latencies, failed, err
		}
		status, err := answer(r, nil)
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

// answer reads one answer, its body into body if that is not nil.
func answer(r *bufio.Reader, body *strings.Builder) (status int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("no status in %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		case "Transfer-Encoding":
			chunked = true
		}
	}
	w := io.Discard
	if body != nil {
		w = body
	}
	if !chunked {
		_, err = io.CopyN(w, r, int64(length))
		return status, err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			return 0, err
		}
		if _, err := io.CopyN(w, r, n); err != nil {
			return 0, err
		}
		if _, err := r.Discard(2); err != nil {
			return 0, err
		}
		if n == 0 {
			return status, nil
		}
	}
}

// httpRequest is a request as bytes.
func httpRequest(path string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// ask sends one request and gives the answer.
func ask(address string, request []byte) (status int, body string, err error) {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, "", err
	}
	if _, err := c.Write(request); err != nil {
		return 0, "", err
	}
	var b strings.Builder
	status, err = answer(bufio.NewReader(c), &b)
	return status, b.String(), err
}
