package up

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/service"
	"millrace.dev/triggers"
)

// TestMain names a program as the runner of trainings; no training is started.
func TestMain(m *testing.M) {
	if code, was := apart.Main(Tasks...); was {
		os.Exit(code)
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Setenv("MILLRACE_RUNNER", self)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// madeSystem is a system whose functions are made and not started, over a log
// of the test.
func madeSystem(t *testing.T) *system {
	t.Helper()
	env := functiontest.New(t)
	logger := slog.New(slog.DiscardHandler)
	s := &system{
		options: Options{Dir: t.TempDir(), Logger: logger}, logger: logger, service: service.New(logger, time.Minute), isolation: function.NewIsolation(),
		log: env.Log, states: env.States, artifacts: env.Artifacts, registry: prometheus.NewRegistry(),
	}
	if err := s.makeFunctions(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestForgedPush posts every type that a function subscribes to straight to the
// function, as a pod of the cluster can: with no place in the log, with one that
// does not exist, and with the place of another event. Nothing that the log does
// not have has an effect.
func TestForgedPush(t *testing.T) {
	t.Parallel()
	s := madeSystem(t)
	first, err := s.log.Append(t.Context(), eventlog.Commit{Pipeline: "tiny", Function: "gateway", Cause: "1", Data: []events.Data{
		events.EvaluationRequested{Version: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// A real event of another function's: only ingest subscribes to a sweep.
	swept, err := s.log.Append(t.Context(), eventlog.Commit{Pipeline: "tiny", Function: "gateway", Data: []events.Data{
		events.ScheduleTicked{Schedule: "sweep", Action: "sweep", Due: "2026-01-01T00:00:00Z", Pipeline: "tiny"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tick := swept.Events[0]
	tested := 0
	for _, p := range s.functions {
		m := function.NewMux(p.name)
		p.function.Register(m)
		if len(m.Types()) == 0 {
			continue // it receives no events
		}
		tested++
		t.Run(p.name, func(t *testing.T) {
			trigger, err := triggers.For(p.name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := function.NewRuntime(t.Context(), m, p.deps, function.DefaultRetry)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(function.Receiver(r, trigger))
			t.Cleanup(server.Close)
			types := m.Types()
			if !slices.Equal(types, trigger.Types) {
				t.Errorf("it handles %v, and its trigger leads %v to it", types, trigger.Types)
			}
			for _, eventType := range types {
				for _, sequence := range []string{"", "999999", fmt.Sprint(first.Events[0].Sequence)} {
					status := forge(t, server.URL, "not-in-the-log", "urn:pod", eventType, sequence)
					if status/100 == 2 {
						t.Errorf("a forged %s at %q is answered %d", eventType, sequence, status)
					}
				}
			}
			if !trigger.Matches(function.Attributes(tick)) {
				if status := forge(t, server.URL, tick.ID, tick.Source, tick.Type, fmt.Sprint(tick.Sequence)); status != http.StatusForbidden {
					t.Errorf("a real event that its trigger does not match is answered %d", status)
				}
			}
			if last, err := s.log.Last(t.Context()); err != nil || last != tick.Sequence {
				t.Errorf("the log has moved to %d, %v", last, err)
			}
		})
	}
	if tested < 6 {
		t.Errorf("only %d functions were tested", tested)
	}
}

func forge(t *testing.T, url, id, source, eventType, sequence string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"version":1,"by":"alice","action":"tick","schedule":"tick"}`))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": source, "Ce-Type": eventType,
		"Ce-Pipeline": "tiny", "Ce-Via": "log", "Ce-Action": "tick", "Ce-" + function.AttributeSequence: sequence,
	} {
		if v != "" {
			r.Header.Set(k, v)
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// TestMetricNames holds the names and labels of every function's metrics:
// dashboards and alerts use them.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	s := madeSystem(t)
	for _, p := range s.functions {
		m := function.NewMux(p.name)
		p.function.Register(m)
		if len(m.Types()) == 0 {
			continue
		}
		if _, err := function.NewRuntime(t.Context(), m, p.deps, function.DefaultRetry); err != nil {
			t.Fatal(err)
		}
	}
	functiontest.Golden(t, filepath.Join("testdata", "metrics.txt"), functiontest.Metrics(s.registry))
}
