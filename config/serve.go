package config

// Serve is how a model is served.
type Serve struct {
	// What serves the model on a cluster.
	Runtime string `json:"runtime" default:"millrace" enum:"millrace,kserve" example:"kserve"`
	// The smallest number of replicas; 0 scales to zero.
	MinScale int `json:"min_scale" default:"0" min:"0" example:"1"`
	// The largest number of replicas, at least min_scale.
	MaxScale int `json:"max_scale" default:"10" min:"1" example:"4"`
	// How many concurrent requests one replica handles.
	Target int `json:"target" default:"100" min:"1" example:"50"`
	// Kubernetes resources of a replica.
	Resources map[string]Quantity `json:"resources,omitempty" example:"{cpu: 500m, memory: 1Gi}"`
	// Which predictions are logged.
	Log PredictionLog `json:"log"`
	// Requests that a version without traffic answers as well. Needs runtime: millrace.
	Mirror Mirror `json:"mirror,omitzero"`
	// Dynamic batching of requests. Needs runtime: millrace. Default: on if a measurement shows that it pays.
	Batch Batch `json:"batch,omitzero"`
	// How many requests for the model one replica handles at a time. Needs runtime: millrace. Default: MILLRACE_INFERENCE_CONCURRENCY.
	Concurrency int `json:"concurrency,omitempty" min:"1" max:"10000" example:"4"`
	// How many more requests for the model may wait; 0 for none. Beyond them the answer is 429. Needs runtime: millrace. Default: MILLRACE_INFERENCE_QUEUE.
	Queue *int `json:"queue,omitempty" min:"0" max:"100000" example:"100"`
	// How long the model may take to answer a request. Then its run is ended, and the answer is 504. Needs runtime: millrace. Default: MILLRACE_INFERENCE_TIMEOUT.
	Timeout Duration `json:"timeout,omitempty" example:"2s"`
	// The answer for rows for which the model returns NaN or an infinite number: "null" leaves out the label and names the row in parameters.errors, error refuses the request with 422. Needs runtime: millrace. Default: "null".
	OnNaN string `json:"on_nan,omitempty" enum:"null,error" example:"error"`
}

// OnNaNError is the value of serve.on_nan that refuses a request.
const OnNaNError = "error"

// Batch configures dynamic batching: concurrent requests run through the model
// together. With the zero value it is on if a measurement shows that it pays.
type Batch struct {
	// The largest number of rows in a batch of requests; 1 turns batching off.
	MaxRows int `json:"max_rows,omitempty" min:"1" max:"4096" example:"64"`
	// How long a request may wait for others, at most 1s. Needs max_rows of 2 or more. Default: only while all processors are busy.
	MaxWait Duration `json:"max_wait,omitempty" min:"0" example:"2ms"`
}

// Mirror is the share of requests that the newest approved version without
// traffic answers as well. Its answers are logged and not returned. The zero
// value turns mirroring off.
type Mirror struct {
	// The share of requests that the newest approved version without traffic answers as well, in per cent. Its answers are logged and not returned.
	Percent float64 `json:"percent,omitempty" above:"0" max:"100" example:"5"`
}

// PredictionLog is which predictions are logged.
type PredictionLog struct {
	// The share of requests that is logged, from 0 to 1.
	Sample float64 `json:"sample" default:"1" min:"0" max:"1" example:"0.1"`
}

// Monitor is how served predictions are monitored.
type Monitor struct {
	// How often drift is checked.
	Every Every `json:"every"`
	// The test for drift.
	Drift Drift `json:"drift"`
	// What happens after drift. retrain needs train.
	OnDrift string `json:"on_drift" default:"notify" enum:"retrain,notify,ignore" example:"retrain"`
	// The shortest time between two reports of drift.
	Cooldown Duration `json:"cooldown" default:"1h" min:"0" example:"6h"`
}

// The values of OnDrift.
const (
	OnDriftRetrain = "retrain"
	OnDriftNotify  = "notify"
	OnDriftIgnore  = "ignore"
)

// Every is how often drift is checked.
type Every struct {
	// The number of predicted rows from one check to the next.
	Rows int64 `json:"rows" default:"5000" min:"1" example:"20000"`
}

// Drift is the test for drift: one for all features and the prediction, and
// others for single columns.
type Drift struct {
	// The test of columns that have no test of their own. Columns of a type other than int and float are always tested by psi.
	Test string `json:"test" default:"psi" enum:"psi,ks" example:"ks"`
	// The population stability index above which there is drift (psi).
	Threshold float64 `json:"threshold" default:"0.2" above:"0" example:"0.25"`
	// The p-value below which there is drift (ks).
	PValue float64 `json:"p_value" default:"0.01" above:"0" below:"1" example:"0.001"`
	// Tests of single features, or of the prediction (under the name prediction).
	Columns map[string]DriftTest `json:"columns,omitempty"`
}

// DriftTest is the test of one column. Absent fields are as in Drift.
type DriftTest struct {
	// The column's test. ks needs an int or float column. Default: that of monitor.drift.
	Test string `json:"test,omitempty" enum:"psi,ks" example:"ks"`
	// The population stability index above which there is drift (psi). Default: that of monitor.drift.
	Threshold float64 `json:"threshold,omitempty" above:"0" example:"0.3"`
	// The p-value below which there is drift (ks). Default: that of monitor.drift.
	PValue float64 `json:"p_value,omitempty" above:"0" below:"1" example:"0.01"`
}

// The tests for drift.
const (
	TestPSI = "psi"
	TestKS  = "ks"
)

// DriftPrediction is the name of the model's prediction in
// monitor.drift.columns.
const DriftPrediction = "prediction"

// DriftTest returns the test of a feature, or of DriftPrediction. Fields that the
// column does not set are those of the pipeline.
func (p *Pipeline) DriftTest(column string) DriftTest {
	d := p.Spec.Monitor.Drift
	t := d.Columns[column]
	if t.Test == "" {
		t.Test = d.Test
		if c, ok := p.Column(column); ok && !c.Numeric() {
			t.Test = TestPSI
		}
	}
	if t.Threshold == 0 {
		t.Threshold = d.Threshold
	}
	if t.PValue == 0 {
		t.PValue = d.PValue
	}
	return t
}
