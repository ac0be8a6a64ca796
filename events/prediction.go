package events

// VersionTraffic is what one version answered within a batch of the
// prediction log.
type VersionTraffic struct {
	Version int `json:"version"`
	// Requests answered, Rows in them, and Errors: requests that failed.
	Requests int64 `json:"requests"`
	Rows     int64 `json:"rows"`
	Errors   int64 `json:"errors"`
	// Latency counts requests by upper bound in milliseconds; the bounds are
	// LatencyBoundsMs, the last count is above them all. Counts of several
	// batches are added up.
	Latency []int64 `json:"latency,omitempty"`
	// Scores counts rows by their score, as the prediction log has it: the
	// probability of the last class of two, of the predicted class of more, or
	// the predicted value.
	Scores Sketch `json:"scores,omitzero"`
}

// LatencyBoundsMs are the upper bounds of VersionTraffic.Latency: a factor of
// 2^(1/4) apart from 0.1 ms to 26 s, so that a percentile is known within 19 %.
var LatencyBoundsMs = latencyBounds()

// PredictionsLogged says that a batch of answered predictions was written.
// inference sends it.
type PredictionsLogged struct {
	// Batch is the batch, Parquet: request_id, row, time, version, route, the
	// features, the outputs, latency_ms. Its digest is the event's cause.
	Batch Ref   `json:"batch"`
	Rows  int64 `json:"rows"`
	// From and To bound the times of the requests, RFC 3339.
	From     string           `json:"from"`
	To       string           `json:"to"`
	Versions []VersionTraffic `json:"versions"`
	// Dropped rows were answered but could not be logged.
	Dropped int64 `json:"dropped,omitempty"`
	// Mirrored says that the answers went to nobody: the versions were asked
	// what others had answered, to see what they would have said.
	Mirrored bool `json:"mirrored,omitempty"`
}

func (PredictionsLogged) EventType() string      { return "dev.millrace.predictions.logged.v1" }
func (d PredictionsLogged) EventSubject() string { return "predictions/" + d.Batch.Short() }

// Origin makes a batch emitted once.
func (d PredictionsLogged) Origin() (function, cause string) {
	return "inference", Cause("predictions", d.Batch.Digest)
}
func (d PredictionsLogged) Validate() error {
	var m mistakes
	m.ref("batch", d.Batch)
	m.add(d.Rows >= 0, "rows %d is negative", d.Rows)
	for _, v := range d.Versions {
		m.add(v.Version > 0, "version %d is not positive", v.Version)
		m.add(len(v.Latency) == 0 || len(v.Latency) == len(LatencyBoundsMs)+1, "latency has %d counts; it has %d", len(v.Latency), len(LatencyBoundsMs)+1)
		v.Scores.validate(&m)
	}
	return m.err()
}
