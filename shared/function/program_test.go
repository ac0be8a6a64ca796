package function_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

// asProgram makes the test binary the program of a function.
const asProgram = "FUNCTION_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(function.Main("evaluate", newPatient))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// patient is a function under the name evaluate whose trigger is in the
// repository. It says on standard output that it handles an event, and ends the
// handling when standard input says so.
type patient struct{ lines chan struct{} }

type patientConfig struct {
	Mistake string `env:"FUNCTION_TEST_MISTAKE"`
}

func (c patientConfig) Validate() error {
	if c.Mistake != "" {
		return fmt.Errorf("FUNCTION_TEST_MISTAKE is %q; it must not be set", c.Mistake)
	}
	return nil
}

func newPatient(patientConfig, function.Deps) (*patient, error) {
	p := &patient{make(chan struct{})}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			p.lines <- struct{}{}
		}
	}()
	return p, nil
}

func (p *patient) Register(m *function.Mux) {
	function.Handle(m, func(ctx context.Context, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
		fmt.Printf("handling %d\n", e.Data.Version)
		select {
		case <-p.lines:
			return announce(fmt.Sprint(e.Data.Version))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

// program is a running function.
type program struct {
	cmd    *exec.Cmd
	url    string
	in     io.Writer
	out    *bufio.Reader
	stderr *transcript
}

// transcript keeps what a program writes and finds the address in it.
type transcript struct {
	mu     sync.Mutex
	text   bytes.Buffer
	listen chan string
	found  bool
}

var listenPattern = regexp.MustCompile(`"?listen"?[=:]"?([0-9.\[\]:]+)`)

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	if m := listenPattern.FindSubmatch(s.text.Bytes()); m != nil && !s.found {
		s.found = true
		s.listen <- string(m[1])
	}
	return len(b), nil
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// launch starts the function as a program over the NATS server, and waits until
// it listens.
func launch(t *testing.T, nats string, settings ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0]), stderr: &transcript{listen: make(chan string, 1)}}
	p.cmd.Env = append(os.Environ(), append([]string{
		asProgram + "=1", "MILLRACE_ANONYMOUS=read", "MILLRACE_NATS=" + nats, "MILLRACE_LISTEN=127.0.0.1:0", "MILLRACE_DIR=" + t.TempDir(),
		"MILLRACE_ARTIFACTS=file://" + t.TempDir(),
	}, settings...)...)
	p.cmd.Stderr = p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("the program wrote:\n%s", p.stderr)
		}
	})
	select {
	case address := <-p.stderr.listen:
		p.url = "http://127.0.0.1" + address[strings.LastIndex(address, ":"):]
	case <-functiontest.Context(t).Done():
		t.Fatal("the program does not listen")
	}
	return p
}

// handling waits until the program handles the version.
func (p *program) handling(t *testing.T, version int) {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if want := fmt.Sprintf("handling %d\n", version); line != want {
		t.Fatalf("the program says %q, %v; want %q", line, err, want)
	}
}

// finish lets one handling end.
func (p *program) finish(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(p.in, "go on\n"); err != nil {
		t.Fatal(err)
	}
}

func (p *program) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(p.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// over is a log on a NATS server that programs can reach.
func over(t *testing.T) (b *functiontest.Env, url string) {
	t.Helper()
	url, _ = functiontest.Servers(t, 1)
	return functiontest.NewOver(t, functiontest.Dial(t, url), 1), url
}

// record waits for the function's record of the event.
func record(t *testing.T, b *functiontest.Env, by string, e events.Envelope) []events.Envelope {
	t.Helper()
	var found []events.Envelope
	eventually(t, fmt.Sprintf("%s records %s", by, e.ID), func() bool {
		var err error
		if found, err = b.Log.Record(t.Context(), e.Pipeline, by, events.CauseOf(e.Header)); err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	})
	return found
}

// TestProgramDrains: health, readiness and metrics; a handling in progress at
// SIGTERM is finished, its record is in the log, and no event after it is
// handled.
func TestProgramDrains(t *testing.T) {
	t.Parallel()
	b, url := over(t)
	p := launch(t, url)
	for path, want := range map[string]string{"/healthz": "", "/readyz": "", "/metrics": "go_goroutines"} {
		if status, body := p.get(t, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	first := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0]
	p.handling(t, 1)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The server has stopped, the handling has not.
	eventually(t, "the server stops", func() bool { status, _ := p.get(t, "/healthz"); return status == 0 })
	p.finish(t)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	left := record(t, b, "evaluate", first)
	if len(left) != 1 || left[0].Type != (events.TrainingRequested{}).EventType() {
		t.Errorf("left %+v", left)
	}
	for _, want := range []string{`msg=started`, `component=evaluate`, `msg=stopping`} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, p.stderr)
		}
	}
	// The next process takes up what came meanwhile, and nothing twice.
	second := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 2})[0]
	p = launch(t, url)
	p.handling(t, 2)
	p.finish(t)
	record(t, b, "evaluate", second)
}

// TestProgramIsCutOff: a handling that outlives the drain is interrupted and
// delivered to the next process, and is neither lost nor a dead letter.
func TestProgramIsCutOff(t *testing.T) {
	t.Parallel()
	b, url := over(t)
	asked := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0]
	p := launch(t, url, "MILLRACE_DRAIN=300ms")
	p.handling(t, 1)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err == nil || !strings.Contains(p.stderr.String(), "evaluate: error: stop function: evaluate stopped while events were being handled") {
		t.Errorf("it ended with %v:\n%s", err, p.stderr)
	}
	p = launch(t, url)
	p.handling(t, 1)
	p.finish(t)
	if left := record(t, b, "evaluate", asked); left[0].Type != (events.TrainingRequested{}).EventType() {
		t.Errorf("left %+v", left)
	}
}

// TestProgramIsPushed: with K_SERVICE events come by push, at PORT, and the log
// lines are JSON; nothing is pulled.
func TestProgramIsPushed(t *testing.T) {
	t.Parallel()
	b, url := over(t)
	p := launch(t, url, "K_SERVICE=evaluate", "PORT=0", "MILLRACE_LISTEN=127.0.0.1:1")
	asked := b.Announce(t, pipeline, "gateway", events.EvaluationRequested{Version: 1})[0]
	answer := make(chan int, 1)
	go func() {
		status, _ := post(t.Context(), t, p.url, asked, false)
		answer <- status
	}()
	p.handling(t, 1)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new connections are refused", func() bool { status, _ := p.get(t, "/healthz"); return status == 0 })
	p.finish(t)
	if status := <-answer; status != http.StatusNoContent {
		t.Errorf("the push that was being handled is answered %d", status)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if left := record(t, b, "evaluate", asked); left[0].Type != (events.TrainingRequested{}).EventType() {
		t.Errorf("left %+v", left)
	}
	for line := range strings.Lines(p.stderr.String()) {
		var l struct{ Component, Msg string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Component != "evaluate" || l.Msg == "" {
			t.Errorf("the line %s is %+v, %v", line, l, err)
		}
	}
	if _, err := b.Log.JetStream().Consumer(t.Context(), "EVENTS", "evaluate"); err == nil {
		t.Error("it has a consumer of the log")
	}
}

// TestProgramBadEnvironment: every mistake at once, and no start.
func TestProgramBadEnvironment(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asProgram + "=1", "MILLRACE_DRAIN=soon", "FUNCTION_TEST_MISTAKE=yes"}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the program started")
	}
	for _, want := range []string{"evaluate: error: the environment: ", "MILLRACE_NATS", "MILLRACE_ARTIFACTS", "Drain", `FUNCTION_TEST_MISTAKE is "yes"; it must not be set`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s\nlacks: %s", out, want)
		}
	}
}

// TestProgramWithoutItsLog: a program is not ready once the stream is gone, and says so; it does not make another one.
func TestProgramWithoutItsLog(t *testing.T) {
	t.Parallel()
	b, url := over(t)
	p := launch(t, url)
	eventually(t, "it is ready", func() bool { status, _ := p.get(t, "/readyz"); return status == http.StatusOK })
	if err := b.Log.JetStream().DeleteStream(t.Context(), eventlog.Stream); err != nil {
		t.Fatal(err)
	}
	if status, body := p.get(t, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "the event log is lost") {
		t.Errorf("/readyz answers %d: %s", status, body)
	}
	if _, err := b.Log.JetStream().Stream(t.Context(), eventlog.Stream); err == nil {
		t.Error("there is a stream again")
	}
}
