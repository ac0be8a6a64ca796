package inference

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the function's own numbers.
type metrics struct {
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	batchRows   *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	failures    *prometheus.CounterVec
	staleRoute  *prometheus.GaugeVec
	loadSeconds prometheus.Histogram
	coldStart   prometheus.Gauge
	undefined   *prometheus.CounterVec
	mirrored    *prometheus.CounterVec
}

// modelMetrics are the numbers of one pipeline, found once.
type modelMetrics struct {
	parse, predict, write prometheus.Observer
}

// versionMetrics are the numbers of one version.
type versionMetrics struct {
	ok   prometheus.Counter
	rows prometheus.Observer // of a run of the model
	by   func(code string) prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, current func() *routing) (*metrics, error) {
	seconds := prometheus.ExponentialBuckets(5e-6, 2, 20) // 5 us to 2.6 s
	m := &metrics{
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
		Name: "millrace_inference_mirrored_total", Help: "Mirrored requests by outcome: answered, failed, dropped.",
	}, []string{"model", "outcome"})
	m.undefined = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_inference_undefined_rows_total", Help: "Rows that the model answered with NaN or an infinite number.",
	}, []string{"model", "version"})
	queued := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_inference_queued", Help: "Requests that wait for a slot.",
	}, func() float64 {
		n := int64(0)
		for _, s := range current().models {
			n += s.limiter.queued.Load()
		}
		return float64(n)
	})
	stuck := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_inference_stuck_models", Help: "Models that are loaded and do not answer.",
	}, func() float64 {
		n := 0
		for _, s := range current().models {
			if s.stuck() != "" {
				n++
			}
		}
		return float64(n)
	})
	var errs []error
	for _, c := range []prometheus.Collector{
		m.requests, m.seconds, m.batchRows, m.inFlight, m.failures, m.staleRoute, m.loadSeconds, m.coldStart, m.mirrored, m.undefined, queued, stuck, m.asKServe(),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) model(name string) modelMetrics {
	return modelMetrics{
		m.seconds.WithLabelValues(name, "parse"), m.seconds.WithLabelValues(name, "predict"), m.seconds.WithLabelValues(name, "write"),
	}
}

func (m *metrics) version(pipeline, version string) versionMetrics {
	return versionMetrics{
		ok:   m.requests.WithLabelValues(pipeline, version, "200"),
		rows: m.batchRows.WithLabelValues(pipeline),
		by:   func(code string) prometheus.Counter { return m.requests.WithLabelValues(pipeline, version, code) },
	}
}

// answered counts an answer of a version.
func (m versionMetrics) answered(code int) {
	if code == 200 {
		m.ok.Inc()
		return
	}
	m.by(strconv.Itoa(code)).Inc()
}

// refused counts an error that no version gave. The model is empty when there is
// no such model: names that clients make up must not become labels.
func (m *metrics) refused(pipeline string, code int) {
	m.requests.WithLabelValues(pipeline, "", strconv.Itoa(code)).Inc()
}

func (m *metrics) loadFailed(pipeline string) { m.failures.WithLabelValues(pipeline).Inc() }

func (m *metrics) stale(pipeline string, is bool) {
	v := 0.0
	if is {
		v = 1
	}
	m.staleRoute.WithLabelValues(pipeline).Set(v)
}
