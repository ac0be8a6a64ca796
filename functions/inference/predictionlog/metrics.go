package predictionlog

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the numbers of the prediction log.
type metrics struct {
	rows         *prometheus.CounterVec
	dropped      *prometheus.CounterVec
	batches      *prometheus.CounterVec
	pendingBytes prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_log_rows_total", Help: "Rows taken into the prediction log.",
		}, []string{"model"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_log_dropped_rows_total", Help: "Rows that were answered and could not be logged.",
		}, []string{"model"}),
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_log_batches_total", Help: "Batches of the prediction log by outcome: announced, failed (tried again).",
		}, []string{"outcome"}),
		pendingBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_inference_log_pending_bytes", Help: "Batches on the local disk that are not announced yet.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.rows, m.dropped, m.batches, m.pendingBytes} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
