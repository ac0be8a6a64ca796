package relay

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the relay's metrics, by function.
type metrics struct {
	sent, resent, deadLetters, deferred *prometheus.CounterVec
	lag, underWay, oldest               *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_relay_" + name, Help: help}, append([]string{"function"}, labels...))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "millrace_relay_" + name, Help: help}, []string{"function"})
	}
	m := &metrics{
		sent:        counter("sent_total", "Requests to the broker by function and answer: taken, refused (for good) or failed.", "answer"),
		resent:      counter("resent_total", "Requests that the broker took for events it had taken before."),
		deadLetters: counter("deadletters_total", "Events that became dead letters because the function left no record of them."),
		deferred:    counter("deferred_total", "Events that the function wanted again later."),
		lag:         gauge("lag_events", "Events of the log without a record: not looked at yet or under way."),
		underWay:    gauge("under_way_events", "Events that wait for their record, deferred ones too."),
		oldest:      gauge("oldest_unhandled_seconds", "Age of the oldest event under way that the function has not deferred."),
	}
	reg.MustRegister(m.sent, m.resent, m.deadLetters, m.deferred, m.lag, m.underWay, m.oldest)
	return m
}

// laneMetrics are those of one function.
type laneMetrics struct {
	sent                          *prometheus.CounterVec
	resent, deadLetters, deferred prometheus.Counter
	lag, underWay, oldest         prometheus.Gauge
}

func (m *metrics) lane(function string) laneMetrics {
	return laneMetrics{
		sent:   m.sent.MustCurryWith(prometheus.Labels{"function": function}),
		resent: m.resent.WithLabelValues(function), deadLetters: m.deadLetters.WithLabelValues(function), deferred: m.deferred.WithLabelValues(function),
		lag: m.lag.WithLabelValues(function), underWay: m.underWay.WithLabelValues(function), oldest: m.oldest.WithLabelValues(function),
	}
}

// count notes the end of a request.
func (m laneMetrics) count(err error, before bool) {
	answer := "taken"
	if _, no := errors.AsType[*refused](err); no {
		answer = "refused"
	} else if err != nil {
		answer = "failed"
	}
	m.sent.WithLabelValues(answer).Inc()
	if err == nil && before {
		m.resent.Inc()
	}
}

// measureEvery is how old the gauges may be.
const measureEvery = 5 * time.Second

// measure keeps the gauges until ctx ends.
func (r *Relay) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		for _, l := range r.lanes {
			n, oldest := l.table.extent()
			l.metrics.underWay.Set(float64(n))
			l.metrics.oldest.Set(oldest.Seconds())
			// A server that does not answer leaves the lag as it was.
			asked, cancel := context.WithTimeout(ctx, time.Second)
			if info, err := l.consumer.Info(asked); err == nil {
				l.metrics.lag.Set(float64(info.NumPending) + float64(info.NumAckPending))
			}
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
