package inference

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// kserveNames are KServe's names for the parts of a request, so that its
// dashboards keep working.
var kserveNames = map[string]*prometheus.Desc{
	"parse":   prometheus.NewDesc("request_preprocess_seconds", "Time to read a request, as KServe names it.", []string{"model_name"}, nil),
	"predict": prometheus.NewDesc("request_predict_seconds", "Time to predict, as KServe names it.", []string{"model_name"}, nil),
	"explain": prometheus.NewDesc("request_explain_seconds", "Time to explain, as KServe names it; no model explains here.", []string{"model_name"}, nil),
	"write":   prometheus.NewDesc("request_postprocess_seconds", "Time to write an answer, as KServe names it.", []string{"model_name"}, nil),
}

// kserve exports the function's own histograms a second time, under KServe's
// names. It costs nothing until it is collected.
type kserve struct{ seconds *prometheus.HistogramVec }

func (m *metrics) asKServe() prometheus.Collector { return kserve{m.seconds} }

// Describe sends the names.
func (k kserve) Describe(to chan<- *prometheus.Desc) {
	for _, d := range kserveNames {
		to <- d
	}
}

// Collect sends the histograms' current values.
func (k kserve) Collect(to chan<- prometheus.Metric) {
	own := make(chan prometheus.Metric)
	go func() {
		k.seconds.Collect(own)
		close(own)
	}()
	for m := range own {
		var d dto.Metric
		if m.Write(&d) != nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range d.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		buckets := map[float64]uint64{}
		for _, b := range d.GetHistogram().GetBucket() {
			buckets[b.GetUpperBound()] = b.GetCumulativeCount()
		}
		h := d.GetHistogram()
		if labels["stage"] == "predict" {
			to <- prometheus.MustNewConstHistogram(kserveNames["explain"], 0, 0, nil, labels["model"])
		}
		to <- prometheus.MustNewConstHistogram(kserveNames[labels["stage"]], h.GetSampleCount(), h.GetSampleSum(), buckets, labels["model"])
	}
}
