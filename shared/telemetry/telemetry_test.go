package telemetry_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace.dev/shared/telemetry"
)

// local unsets what a cluster sets.
func local(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("K_SERVICE", "")
}

func TestLogger(t *testing.T) {
	for name, c := range map[string]struct {
		variable, level string
		json, debug     bool
	}{
		"a laptop":          {"", "info", false, false},
		"Kubernetes":        {"KUBERNETES_SERVICE_HOST", "info", true, false},
		"Knative":           {"K_SERVICE", "info", true, false},
		"debug":             {"", "debug", false, true},
		"a level in upper":  {"", "DEBUG", false, true},
		"no level we know":  {"", "loud", false, false},
		"no level at all":   {"", "", false, false},
		"debug on clusters": {"K_SERVICE", "debug", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			local(t)
			if c.variable != "" {
				t.Setenv(c.variable, "something")
			}
			var out bytes.Buffer
			l := telemetry.Logger(&out, c.level).With("component", "mill")
			l.Debug("turning", "event", "e1")
			if got := out.Len() > 0; got != c.debug {
				t.Errorf("debug lines are written: %t, want %t", got, c.debug)
			}
			out.Reset()
			l.Info("turned", "event", "e1")
			var line struct{ Msg, Component, Event string }
			err := json.Unmarshal(out.Bytes(), &line)
			if (err == nil) != c.json {
				t.Errorf("the line is %s", out.String())
			}
			if c.json && (line.Msg != "turned" || line.Component != "mill" || line.Event != "e1") {
				t.Errorf("the line is %s", out.String())
			}
			if !c.json && !strings.Contains(out.String(), "msg=turned component=mill event=e1") {
				t.Errorf("the line is %s", out.String())
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	families, err := telemetry.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	if !names["go_goroutines"] {
		t.Errorf("the registry has %v", names)
	}
}

// TestTraces: spans go to the collector that OpenTelemetry's variables name, at
// the latest when the program stops, and without one there is no provider.
func TestTraces(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	provider, stop, err := telemetry.Traces(t.Context(), "mill")
	if err != nil || provider != nil {
		t.Errorf("without a collector the provider is %v, %v", provider, err)
	}
	if err := stop(t.Context()); err != nil {
		t.Error(err)
	}

	type request struct{ path, body string }
	got := make(chan request, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		got <- request{r.URL.Path, b.String()}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	provider, stop, err = telemetry.Traces(t.Context(), "mill")
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(t.Context(), "grind")
	span.End()
	if err := stop(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case r := <-got:
		for _, want := range []string{"grind", "millrace-mill", "service.name"} {
			if !strings.Contains(r.body, want) {
				t.Errorf("what was sent lacks %s: %q", want, r.body)
			}
		}
		if r.path != "/v1/traces" {
			t.Errorf("it was sent to %s", r.path)
		}
	default:
		t.Error("the span was not sent when the program stopped")
	}
}
