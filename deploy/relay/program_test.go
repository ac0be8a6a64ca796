package relay_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/promote"
)

// program starts the relay as a program of its own, with quick pauses.
func (w *env) program(t *testing.T, listen string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=1", "MILLRACE_NATS="+w.url, "MILLRACE_ANONYMOUS=read", "MILLRACE_BROKER="+w.broker.URL, "MILLRACE_LISTEN="+listen,
		"MILLRACE_RELAY_FIRST_PAUSE=150ms", "MILLRACE_RELAY_MAX_PAUSE=600ms", "MILLRACE_RELAY_ATTEMPTS=1000", "MILLRACE_LOG=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// TestNothingLostNothingTwice: a broker that refuses, loses and repeats, and a
// relay that is killed again and again while events come. In the end each
// function has left one record of each event that it is subscribed to.
func TestNothingLostNothingTwice(t *testing.T) {
	w := newEnv(t)
	w.broker.refuses, w.broker.loses, w.broker.repeats = 0.2, 0.25, 0.2
	var asked []events.Envelope
	stop, killed := make(chan struct{}), make(chan int)
	go func() {
		kills := 0
		defer func() { killed <- kills }()
		for {
			cmd := w.program(t, "127.0.0.1:0")
			select {
			case <-stop:
				return // the last one is left to finish
			case <-time.After(time.Duration(200+rand.IntN(400)) * time.Millisecond):
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			kills++
		}
	}()
	approved := w.approve(t)
	for n := range 60 {
		asked = append(asked, w.ask(t, 1+n), w.tick(t, n))
		<-time.After(30 * time.Millisecond) // events come while relays die
	}
	close(stop)
	t.Logf("%d relays were killed", <-killed)

	w.record(t, promote.Name, approved)
	var requested []events.Envelope
	for _, e := range asked {
		for _, f := range w.broker.matching(withVia(e)) {
			left := w.record(t, f, e)
			if e.Type == (events.EvaluationRequested{}).EventType() {
				requested = append(requested, left...)
			}
		}
	}
	for _, e := range requested {
		w.record(t, "train-launcher", e)
	}
	causes := map[string]int{}
	for _, e := range w.all(t) {
		if e.Type == (events.DeadLetterRecorded{}).EventType() {
			t.Errorf("a dead letter: %s", e.Data)
		}
		if e.Type == (events.TrainingRequested{}).EventType() {
			causes[e.CausationID]++
		}
	}
	for _, e := range asked {
		if e.Type == (events.EvaluationRequested{}).EventType() && causes[e.ID] != 1 {
			t.Errorf("%s led to %d events", e.ID, causes[e.ID])
		}
	}
	if p := w.State(t, pipeline); p.Route.Champion != 1 {
		t.Errorf("champion %d", p.Route.Champion)
	}
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	t.Logf("%d requests were refused", w.broker.refused)
}

func withVia(e events.Envelope) events.Envelope {
	attributes := map[string]string{"via": "log"}
	maps.Copy(attributes, e.Attributes)
	e.Attributes = attributes
	return e
}

// TestProgram: health, readiness, metrics, and an end at SIGTERM.
func TestProgram(t *testing.T) {
	w := newEnv(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := w.program(t, address)
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		return resp.StatusCode, b.String()
	}
	w.until(t, "the relay is ready", func() bool { code, _ := get("/readyz"); return code == http.StatusOK })
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz answers %d", code)
	}
	w.record(t, "evaluate", w.ask(t, 1))
	w.until(t, "the metrics tell of the request", func() bool {
		_, text := get("/metrics")
		return strings.Contains(text, `millrace_relay_sent_total{answer="taken",function="evaluate"} 1`)
	})
	_, text := get("/metrics")
	for _, name := range []string{"lag_events", "under_way_events", "oldest_unhandled_seconds", "resent_total", "deadletters_total", "deferred_total"} {
		if !strings.Contains(text, "millrace_relay_"+name+`{function="evaluate"}`) {
			t.Errorf("the metrics lack %s", name)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
}

func TestBadEnvironment(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=1", "MILLRACE_NATS=nats://127.0.0.1:1", "MILLRACE_BROKER=broker", "MILLRACE_RELAY_WINDOW=0", "MILLRACE_RELAY_ATTEMPTS=-1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the relay started")
	}
	for _, want := range []string{`the broker "broker" is not an HTTP URL`, "MILLRACE_RELAY_WINDOW is 0; it must be", "MILLRACE_RELAY_ATTEMPTS is -1; it must be"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s\nlacks: %s", out, want)
		}
	}
}
