package trainlauncher

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the function's own Prometheus metrics, beside the runtime's.
type metrics struct {
	underWay *prometheus.GaugeVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		underWay: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_runs_under_way", Help: "Runs that are followed.",
		}, []string{"pipeline"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_run_seconds", Help: "How long runs took, all attempts together.",
			Buckets: prometheus.ExponentialBuckets(1, 3, 10),
		}, []string{"pipeline", "outcome"}),
	}
	return m, errors.Join(reg.Register(m.underWay), reg.Register(m.seconds))
}
