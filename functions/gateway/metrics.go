package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

type metrics struct {
	uploads  *prometheus.CounterVec
	bytes    prometheus.Counter
	taken    *prometheus.CounterVec
	panics   prometheus.Counter
	refusals *prometheus.CounterVec
	mistaken prometheus.Gauge
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
			Name: "millrace_gateway_events_total", Help: "Events and notifications from outside, by transport (http, inbox) and outcome: taken, duplicate, unwanted, refused, failed.",
		}, []string{"transport", "outcome"}),
		panics: in.NewCounter(prometheus.CounterOpts{
			Name: "millrace_gateway_panics_total", Help: "Requests that ended in a panic.",
		}),
		refusals: in.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_gateway_errors_total", Help: "Requests answered with an error, by status.",
		}, []string{"status"}),
		mistaken: in.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_gateway_mistaken_pipelines", Help: "Files in the folder of pipelines that cannot be configured.",
		}),
	}
}

// newUnreadable counts the unreadable records of the log that status requests and readers of this process have found.
func newUnreadable(log *eventlog.Log) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_log_unreadable_records", Help: "Records of the event log that are not events and are skipped, as far as the log has been checked.",
	}, func() float64 { return float64(log.KnownUnreadable().Count) })
}

// deadLetters counts the open dead letters from the states at each scrape.
type deadLetters struct {
	states *state.Store
	logger *slog.Logger
	desc   *prometheus.Desc
	mu     sync.Mutex
	// reported are the labels that were reported before: a vanished count is
	// reported as 0, so that an alert on it ends.
	reported map[deadLetterLabels]bool
}

type deadLetterLabels struct{ pipeline, function string }

func newDeadLetters(states *state.Store, logger *slog.Logger) *deadLetters {
	return &deadLetters{states: states, logger: logger, reported: map[deadLetterLabels]bool{}, desc: prometheus.NewDesc(
		"millrace_dead_letters", "Dead letters that have been neither sent again nor dropped.", []string{"pipeline", "function"}, nil)}
}

// collectWithin bounds how long a scrape waits for the event log.
const collectWithin = 5 * time.Second

// Describe describes the metric.
func (d *deadLetters) Describe(out chan<- *prometheus.Desc) { out <- d.desc }

// Collect counts. When the log cannot be reached it reports nothing.
func (d *deadLetters) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectWithin)
	defer cancel()
	all, err := withUnassigned(ctx, d.states)
	if err != nil {
		d.logger.WarnContext(ctx, "dead letters cannot be counted", "error", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := map[deadLetterLabels]int{}
	for labels := range d.reported {
		waiting[labels] = 0
	}
	for _, p := range all {
		for _, l := range p.DeadLetters {
			waiting[deadLetterLabels{p.Name, l.Function}]++
		}
	}
	for labels, n := range waiting {
		d.reported[labels] = true
		out <- prometheus.MustNewConstMetric(d.desc, prometheus.GaugeValue, float64(n), labels.pipeline, labels.function)
	}
}

// withUnassigned returns the states of all pipelines, and of events without a pipeline.
func withUnassigned(ctx context.Context, states *state.Store) ([]*state.Pipeline, error) {
	all, err := states.Configured(ctx)
	if err != nil {
		return nil, err
	}
	unassigned, err := states.Load(ctx, events.NoPipeline)
	return append(all, unassigned), err
}
