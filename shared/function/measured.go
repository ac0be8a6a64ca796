package function

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measured counts deliveries by function, type and outcome, and times them.
func measured(function string, reg prometheus.Registerer) middleware {
	handled := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_events_handled_total", Help: "Deliveries by function, event type and outcome.",
	}, []string{"function", "type", "outcome"}))
	seconds := register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_event_seconds", Help: "Time from delivery to the end of its handling.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 12),
	}, []string{"function", "type"}))
	inFlight := register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "millrace_events_in_flight", Help: "Deliveries being handled.",
	}, []string{"function"})).WithLabelValues(function)
	return func(next handler) handler {
		return func(ctx context.Context, d Delivery) Outcome {
			began := time.Now()
			inFlight.Inc()
			o := next(ctx, d)
			inFlight.Dec()
			seconds.WithLabelValues(function, d.Type).Observe(time.Since(began).Seconds())
			handled.WithLabelValues(function, d.Type, o.name()).Inc()
			return o
		}
	}
}

// register registers c and returns it, or the registered one, which the functions of a process share.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](reg.Register(c)); ok {
		if shared, ok := already.ExistingCollector.(C); ok {
			return shared
		}
	}
	return c
}
