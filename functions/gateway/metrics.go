package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	uploads  *prometheus.CounterVec
	bytes    prometheus.Counter
	taken    *prometheus.CounterVec
	panics   prometheus.Counter
	refusals *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	in := promauto.With(r)
	return &metrics{
		uploads: in.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_gateway_uploads_total", Help: "Uploads by outcome: stored, duplicate.",
		}, []string{"outcome"}),
		bytes: in.NewCounter(prometheus.CounterOpts{
			Name: "millrace_gateway_upload_bytes_total", Help: "Bytes of uploads that were stored.",
		}),
		taken: in.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_gateway_events_total", Help: "Events and notifications from outside, by door (http, inbox) and outcome: taken, duplicate, unwanted, refused, failed.",
		}, []string{"door", "outcome"}),
		panics: in.NewCounter(prometheus.CounterOpts{
			Name: "millrace_gateway_panics_total", Help: "Requests that ended in a panic.",
		}),
		refusals: in.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_gateway_errors_total", Help: "Requests answered with an error, by status.",
		}, []string{"status"}),
	}
}
