package trainlauncher

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// measures are what the function counts beside its handlings.
type measures struct {
	underWay *prometheus.GaugeVec
	seconds  *prometheus.HistogramVec
}

func newMeasures(reg prometheus.Registerer) (measures, error) {
	m := measures{
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
