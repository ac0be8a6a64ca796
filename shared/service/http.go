package service

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace.dev/shared/access"
)

// Health registers the paths that every program answers: /healthz while the
// process lives, /readyz with status 503 and the reason while ready returns an
// error, and /metrics for callers with the role read.
func Health(mux *access.Mux, metrics prometheus.Gatherer, ready func(context.Context) error) {
	mux.Handle(access.Read, "GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc(access.Public, "GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc(access.Public, "GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

// Metrics answers /metrics alone, for callers without a token, on an address of
// its own, until Stop. Nothing is done for an empty address.
func (s *Service) Metrics(ctx context.Context, address string, metrics prometheus.Gatherer) error {
	if address == "" {
		return nil
	}
	l, err := s.Listen(ctx, address)
	if err != nil {
		return fmt.Errorf("MILLRACE_METRICS_LISTEN: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	s.Serve(ctx, l, &http.Server{Handler: mux})
	return nil
}

// Protocols are what every server speaks: HTTP/1.1, and HTTP/2 over TLS or, as
// gRPC does on a cluster, without it by prior knowledge. So a function that
// speaks gRPC registers a handler like any other.
func Protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}
