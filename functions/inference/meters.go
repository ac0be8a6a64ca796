package inference

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are the function's own numbers.
type meters struct {
	requests     *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	batchRows    *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	rows         *prometheus.CounterVec
	dropped      *prometheus.CounterVec
	batches      *prometheus.CounterVec
	pendingBytes prometheus.Gauge
	failures     *prometheus.CounterVec
	staleRoute   *prometheus.GaugeVec
	loadSeconds  prometheus.Histogram
	coldStart    prometheus.Gauge
	mirrored     *prometheus.CounterVec
}

// modelMeters are the numbers of one pipeline, found once.
type modelMeters struct {
	parse, predict, write prometheus.Observer
}

// versionMeters are the numbers of one version.
type versionMeters struct {
	ok   prometheus.Counter
	rows prometheus.Observer // of a run of the model
	by   func(code string) prometheus.Counter
}

func newMeters(reg prometheus.Registerer, g *gate) (*meters, error) {
	seconds := prometheus.ExponentialBuckets(5e-6, 2, 20) // 5 us to 2.6 s
	m := &meters{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_requests_total", Help: "Requests by model, version and HTTP status.",
		}, []string{"model", "version", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_inference_seconds", Help: "Time of the parts of a request: parse, predict, write.", Buckets: seconds,
		}, []string{"model", "stage"}),
		batchRows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_inference_batch_rows", Help: "Rows that went through the model in one run.", Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}, []string{"model"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_inference_in_flight", Help: "Requests being answered.",
		}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_log_rows_total", Help: "Rows taken into the prediction log.",
		}, []string{"model"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_log_dropped_rows_total", Help: "Rows that were answered and could not be logged.",
		}, []string{"model"}),
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_log_batches_total", Help: "Batches of the prediction log by what became of them: announced, failed (tried again).",
		}, []string{"outcome"}),
		pendingBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_inference_log_pending_bytes", Help: "Batches on the local disk that are not announced yet.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_inference_load_failures_total", Help: "Versions of a route that could not be loaded.",
		}, []string{"model"}),
		staleRoute: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_inference_route_stale", Help: "1 while a model's route is not what the state says, because a version cannot be loaded.",
		}, []string{"model"}),
		loadSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_inference_load_seconds", Help: "Time to load a version: fetch, open, check, warm up.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	m.coldStart = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_inference_cold_start_seconds", Help: "From the start of the function until every routed version was loaded for the first time; 0 until then.",
	})
	m.mirrored = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_inference_mirrored_total", Help: "Mirrored requests by what became of them: answered, failed, dropped.",
	}, []string{"model", "outcome"})
	queued := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_inference_queued", Help: "Requests that wait for a slot.",
	}, func() float64 { return float64(g.queued.Load()) })
	var errs []error
	for _, c := range []prometheus.Collector{
		m.requests, m.seconds, m.batchRows, m.inFlight, m.rows, m.dropped, m.batches, m.pendingBytes, m.failures, m.staleRoute, m.loadSeconds, m.coldStart, m.mirrored, queued, m.asKServe(),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *meters) model(name string) modelMeters {
	return modelMeters{
		m.seconds.WithLabelValues(name, "parse"), m.seconds.WithLabelValues(name, "predict"), m.seconds.WithLabelValues(name, "write"),
	}
}

func (m *meters) version(pipeline, version string) versionMeters {
	return versionMeters{
		ok:   m.requests.WithLabelValues(pipeline, version, "200"),
		rows: m.batchRows.WithLabelValues(pipeline),
		by:   func(code string) prometheus.Counter { return m.requests.WithLabelValues(pipeline, version, code) },
	}
}

// answered counts an answer of a version.
func (m versionMeters) answered(code int) {
	if code == 200 {
		m.ok.Inc()
		return
	}
	m.by(strconv.Itoa(code)).Inc()
}

// refused counts an answer that no version gave. The model is empty when there
// is none of the name that was asked for: names that people make up are no labels.
func (m *meters) refused(pipeline string, code int) {
	m.requests.WithLabelValues(pipeline, "", strconv.Itoa(code)).Inc()
}

func (m *meters) loadFailed(pipeline string) { m.failures.WithLabelValues(pipeline).Inc() }

func (m *meters) stale(pipeline string, is bool) {
	v := 0.0
	if is {
		v = 1
	}
	m.staleRoute.WithLabelValues(pipeline).Set(v)
}
