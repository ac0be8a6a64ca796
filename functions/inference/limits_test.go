package inference

import (
	"bufio"
	"context"
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

	w.limiter("flights").slots <- struct{}{} // another request is in progress
	if a := w.infer(g, 1); a.Code != 429 || a.Header.Get("Retry-After") != "1" || a.Error != "too many requests for flights at once; try again in a second" {
		t.Errorf("after the wait: %d %s", a.Code, a.Raw)
	}
	w.limiter("flights").wait = time.Minute
	waiting := make(chan answer)
	go func() { waiting <- w.infer(g, 1) }()
	w.until("one request waits", func() error {
		if n := w.limiter("flights").queued.Load(); n != 1 {
			return fmt.Errorf("%d do", n)
		}
		return nil
	})
	if a := w.infer(g, 1); a.Code != 429 {
		t.Errorf("with a full queue: %d %s", a.Code, a.Raw)
	}
	w.limiter("flights").leave()
	if a := <-waiting; a.Code != 200 {
		t.Errorf("the one that waited: %d %s", a.Code, a.Raw)
	}
}

// slow is a pipeline of the model loops of shared/onnx, which runs a loop x times.
const slow = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: slow}
spec:
  data:
    columns:
      x: {type: float, min: 0, max: 10}
      y: {type: float}
  model: {task: regression, label: y, features: [x]}
  serve: {concurrency: 2, queue: 1, timeout: %s, batch: {max_rows: %d}}
`

const endless = `{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[1e18]}]}`

// TestRunsEnd lets a model loop, batched and not, and asks another one meanwhile.
func TestRunsEnd(t *testing.T) {
	for _, batched := range []int{1, 8} {
		t.Run(fmt.Sprintf("batches of %d", batched), func(t *testing.T) {
			w := newWorld(t)
			w.ConfigureYAML(t, flights)
			w.ConfigureYAML(t, fmt.Sprintf(slow, "1s", batched))
			w.promote("flights", w.register("flights", "lightgbm"))
			w.promote("slow", w.register("slow", "loops"))
			w.start()
			answers := make(chan answer, 4)
			for range cap(answers) { // two work, one waits, one is refused
				go func() { answers <- w.ask("POST", "/v2/models/slow/infer", []byte(endless)) }()
			}
			refused, ended := 0, 0
			for range cap(answers) {
				if a := w.infer(goldenOf(t, "lightgbm"), 1); a.Code != 200 {
					t.Errorf("the other model: %d %s", a.Code, a.Raw)
				}
				switch a := <-answers; {
				case a.Code == 504 && strings.Contains(a.Error, "version 1 of slow did not answer within 1s, and its run was ended; send fewer rows"):
					ended++
				case a.Code == 429 && a.Error == "too many requests for slow at once; try again in a second":
					refused++
				default:
					t.Errorf("%d %s", a.Code, a.Raw)
				}
			}
			if ended < 2 || refused < 1 {
				t.Errorf("%d were ended, %d refused", ended, refused)
			}
			w.until("the slots are free", func() error { return free(w.limiter("slow")) })
			if n := counter(t, w.f.metrics.requests.WithLabelValues("slow", "1", "504")); n != float64(ended) {
				t.Errorf("%g are counted as errors of the version", n)
			}
		})
	}
}

// TestRunsEndWithTheClient lets clients go whose model loops.
func TestRunsEndWithTheClient(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, fmt.Sprintf(slow, "10m", 1))
	w.promote("slow", w.register("slow", "loops"))
	w.start()
	ctx, leave := context.WithCancel(t.Context())
	for range 2 {
		go func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, w.web.URL+"/v2/models/slow/infer", strings.NewReader(endless))
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
	}
	w.until("both work", func() error {
		if n := len(w.limiter("slow").slots); n != 2 {
			return fmt.Errorf("%d do", n)
		}
		return nil
	})
	leave()
	w.until("the slots are free", func() error { return free(w.limiter("slow")) })
	if a := w.ask("POST", "/v2/models/slow/infer", []byte(strings.Replace(endless, "1e18", "3", 1))); a.Code != 200 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}

func free(l *limiter) error {
	if n := len(l.slots); n > 0 {
		return fmt.Errorf("%d are taken", n)
	}
	return nil
}

// TestStuckModelIsNotReady takes all slots for longer than a request may take.
func TestStuckModelIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.cfg.Pipeline, w.cfg.Concurrency, w.cfg.Queue, w.cfg.Timeout = "flights", 1, 0, 10*time.Millisecond
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	l := w.limiter("flights")
	must(t, l.enter(t.Context()))
	if a := w.infer(goldenOf(t, "lightgbm"), 1); a.Code != 429 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	w.until("it is not ready", func() error {
		if a := w.ask("GET", "/v2/models/flights/ready", nil); a.Code != 503 || !strings.Contains(a.Raw, "1 requests have been worked on for ") {
			return errors.New(a.Raw)
		}
		if err := w.f.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "flights does not answer: ") {
			return fmt.Errorf("%w", err)
		}
		return nil
	})
	l.leave()
	if a := w.infer(goldenOf(t, "lightgbm"), 1); a.Code != 200 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	must(t, w.f.Ready(t.Context()))
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
	if resp.StatusCode != 408 || !strings.Contains(string(text), "the body did not arrive completely") {
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
	w.f.versions.spare = 1
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
	for _, want := range []string{
		"MILLRACE_INFERENCE_MAX_BODY_BYTES is 0; it must be more than 0", "MILLRACE_INFERENCE_LOG_EVERY is 0s; it must be", "CONCURRENCY is -1; it must not be negative",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	must(t, defaults(t).Validate())
}
