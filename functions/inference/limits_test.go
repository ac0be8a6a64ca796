package inference

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestConcurrencyIsBounded(t *testing.T) {
	w := newWorld(t)
	w.cfg.Concurrency, w.cfg.Queue, w.cfg.QueueWait = 1, 1, 100*time.Millisecond
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	g := goldenOf(t, "lightgbm")

	w.f.gate.slots <- struct{}{} // somebody works
	if a := w.infer(g, 1); a.Code != 429 || a.Header.Get("Retry-After") != "1" || a.Error != "too many requests at once; try again in a second" {
		t.Errorf("after the wait: %d %s", a.Code, a.Raw)
	}
	w.f.gate.wait = time.Minute
	waiting := make(chan answer)
	go func() { waiting <- w.infer(g, 1) }()
	w.until("one request waits", func() error {
		if n := w.f.gate.queued.Load(); n != 1 {
			return fmt.Errorf("%d do", n)
		}
		return nil
	})
	if a := w.infer(g, 1); a.Code != 429 {
		t.Errorf("with a full queue: %d %s", a.Code, a.Raw)
	}
	w.f.gate.leave()
	if a := <-waiting; a.Code != 200 {
		t.Errorf("the one that waited: %d %s", a.Code, a.Raw)
	}
}

func TestSlowBody(t *testing.T) {
	w := newWorld(t)
	w.cfg.ReadTimeout = 50 * time.Millisecond
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.web.Listener.Addr().String())
	must(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /v2/models/flights/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != 408 || !strings.Contains(string(text), "the body did not arrive whole") {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestReadyMeansLoaded(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.startIn(w.Deps(t, Name))
	w.until("the function is ready", func() error {
		if a := w.ask("GET", "/v2/health/ready", nil); a.Code != 200 {
			return errors.New(a.Raw)
		}
		return nil
	})
	if a := w.infer(goldenOf(t, "lightgbm"), 1); a.Code != 200 {
		t.Errorf("the first request: %d %s", a.Code, a.Raw)
	}
}

func TestReadyInSpiteOfABrokenVersion(t *testing.T) {
	w := newWorld(t)
	w.cfg.ReadyWithin = 200 * time.Millisecond
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "matrix"))
	w.startIn(w.Deps(t, Name))
	if err := w.f.Ready(t.Context()); err == nil {
		t.Error("it is ready at once")
	}
	w.until("it is ready", func() error { return w.f.Ready(t.Context()) })
	if a := w.infer(goldenOf(t, "lightgbm"), 1); a.Code != 503 || !strings.Contains(a.Error, "flights cannot be served: load version 1 of flights") {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}

func TestSpareVersionsAreUnloaded(t *testing.T) {
	w, g := servedFlights(t)
	w.f.shelf.spare = 1
	for range 3 {
		w.register("flights", "logistic")
	}
	for _, version := range []string{"2", "3", "4", "2"} {
		w.until("version "+version+" answers", func() error {
			return code(w.ask("POST", "/v2/models/flights/versions/"+version+"/infer", g.inferBody(t, 0, 1, nil)), 200, `"route":"pinned"`)
		})
	}
	for version, want := range map[string]int{"1": 200, "2": 200, "3": 503, "4": 503} {
		if a := w.ask("GET", "/v2/models/flights/versions/"+version+"/ready", nil); a.Code != want {
			t.Errorf("version %s: %d %s", version, a.Code, a.Raw)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	err := Config{Concurrency: -1}.Validate()
	for _, want := range []string{"MILLRACE_INFERENCE_MAX_BODY_BYTES must be more than 0", "MILLRACE_INFERENCE_LOG_DISK_BYTES must be", "CONCURRENCY must not be negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	must(t, defaults(t).Validate())
}
