package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// limitedServer answers on a listener of at most two connections: /healthz at
// once, other paths when the test ends.
func limitedServer(t *testing.T) (address string, working <-chan struct{}) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began, ended := make(chan struct{}, 10), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/work", func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-ended })
	s := New(slog.New(slog.DiscardHandler), time.Minute)
	s.connections = 2
	s.Serve(t.Context(), l, &http.Server{Handler: mux}) //nolint:gosec // Serve sets the limits
	t.Cleanup(func() {
		close(ended)
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), began
}

func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err == nil {
		_, err = io.WriteString(c, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func status(t *testing.T, address, path string) int {
	t.Helper()
	c := dial(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path))
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestSlowSendersMakeRoom opens many connections whose headers do not come.
func TestSlowSendersMakeRoom(t *testing.T) {
	address, _ := limitedServer(t)
	var slow []net.Conn
	for range 20 {
		slow = append(slow, dial(t, address, "GET /healthz HTTP/1.1\r\nHost"))
	}
	for range 3 {
		if code := status(t, address, "/healthz"); code != http.StatusOK {
			t.Errorf("answered %d", code)
		}
	}
	_ = slow[0].SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := slow[0].Read(make([]byte, 1)); err == nil {
		t.Errorf("the oldest connection is open, and says %d bytes", n)
	} else if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // it is one
		t.Error("the oldest connection is open")
	}
}

// TestHealthWhenAllAreBusy keeps all connections busy.
func TestHealthWhenAllAreBusy(t *testing.T) {
	address, working := limitedServer(t)
	for range 2 {
		dial(t, address, "GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
		<-working
	}
	if code := status(t, address, "/work"); code != http.StatusServiceUnavailable {
		t.Errorf("work on one more: answered %d", code)
	}
	if code := status(t, address, "/healthz"); code != http.StatusOK {
		t.Errorf("health on one more: answered %d", code)
	}
}
