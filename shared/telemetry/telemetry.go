// Package telemetry sets up logs, metrics and traces. What is logged, counted
// and traced is decided where it happens.
//
// Log lines have a constant message and these keys: component (the program or
// function that logs), event, type, subject and pipeline of an event, error,
// and after (how long until the next attempt).
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// Logger returns a logger that writes JSON on a cluster and text elsewhere. Its
// caller adds the component. level is debug, info, warn or error; anything else is info.
func Logger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	var h slog.Handler = slog.NewTextHandler(w, o)
	if onCluster() {
		h = slog.NewJSONHandler(w, o)
	}
	return slog.New(h)
}

// onCluster reports whether Kubernetes or Knative started the process: they set
// these variables in every container.
func onCluster() bool {
	return os.Getenv("KUBERNETES_SERVICE_HOST") != "" || os.Getenv("K_SERVICE") != ""
}

// Registry returns a metrics registry that has the metrics of the process and
// of the Go runtime.
func Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Traces exports spans by OTLP over HTTP if OTEL_EXPORTER_OTLP_ENDPOINT (or its
// _TRACES_ form) is set, configured by OpenTelemetry's own environment
// variables. Otherwise the provider is nil and no span is made. stop sends the
// spans that are left, within its context.
func Traces(ctx context.Context, service string) (provider trace.TracerProvider, stop func(context.Context) error, err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("set up traces: %w", err)
	}
	p := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName("millrace-"+service), semconv.ServiceNamespace("millrace"))),
	)
	return p, p.Shutdown, nil
}
