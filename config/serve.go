package config

// Serve is how predictions are answered.
type Serve struct {
	// What serves the model on a cluster.
	Runtime string `json:"runtime" default:"millrace" enum:"millrace,kserve"`
	// The least number of replicas; 0 scales to zero.
	MinScale int `json:"min_scale" default:"0" min:"0"`
	// The largest number of replicas.
	MaxScale int `json:"max_scale" default:"10" min:"1"`
	// Requests in flight that one replica takes.
	Target int `json:"target" default:"100" min:"1"`
	// Kubernetes resources of a replica.
	Resources map[string]Quantity `json:"resources,omitempty"`
	// What of the predictions is kept.
	Log PredictionLog `json:"log"`
	// What a version is asked before it has traffic.
	Mirror Mirror `json:"mirror,omitzero"`
	// How requests go through the model together.
	Batch Batch `json:"batch,omitzero"`
}

// Batch is how requests that are there at the same time go through the model
// together. With the zero value they do when a measurement shows that they gain
// by it.
type Batch struct {
	// The most rows of several requests that go together; with 1 each request goes alone.
	MaxRows int `json:"max_rows,omitempty" min:"1" max:"4096"`
	// How long a request may wait for others, at most a second. Without it one waits only while the processors are busy with others.
	MaxWait Duration `json:"max_wait,omitempty" min:"0"`
}

// Mirror is which requests the newest approved version that is in no route is
// asked too. Its answers are logged and not returned. The zero value is none.
type Mirror struct {
	// The share of requests that is mirrored, in per cent.
	Percent float64 `json:"percent,omitempty" above:"0" max:"100"`
}

// PredictionLog is what of the predictions is kept.
type PredictionLog struct {
	// The share of requests that is logged, from 0 to 1.
	Sample float64 `json:"sample" default:"1" min:"0" max:"1"`
}

// Monitor is how what is served is watched.
type Monitor struct {
	// How often drift is looked for.
	Every Every `json:"every"`
	// How drift is told from chance.
	Drift Drift `json:"drift"`
	// What happens when there is drift.
	OnDrift string `json:"on_drift" default:"notify" enum:"retrain,notify,ignore"`
	// How long after drift was told none is told again.
	Cooldown Duration `json:"cooldown" default:"1h" min:"0"`
}

// What happens when there is drift.
const (
	OnDriftRetrain = "retrain"
	OnDriftNotify  = "notify"
	OnDriftIgnore  = "ignore"
)

// Every is how often drift is looked for.
type Every struct {
	// After so many predicted rows.
	Rows int64 `json:"rows" default:"5000" min:"1"`
}

// Drift is how drift is told from chance: a test for all features and the
// prediction, and others for single columns.
type Drift struct {
	// The test of columns that have none of their own. Columns that are no numbers are always tested by psi.
	Test string `json:"test" default:"psi" enum:"psi,ks"`
	// The population stability index above which there is drift (psi).
	Threshold float64 `json:"threshold" default:"0.2" above:"0"`
	// The p-value below which there is drift (ks).
	PValue float64 `json:"p_value" default:"0.01" above:"0" below:"1"`
	// Tests of single features, or of the prediction.
	Columns map[string]DriftTest `json:"columns,omitempty"`
}

// DriftTest is the test of one column. What is not written is as in Drift.
type DriftTest struct {
	// The column's test.
	Test string `json:"test,omitempty" enum:"psi,ks"`
	// The population stability index above which there is drift (psi).
	Threshold float64 `json:"threshold,omitempty" above:"0"`
	// The p-value below which there is drift (ks).
	PValue float64 `json:"p_value,omitempty" above:"0" below:"1"`
}

// The tests for drift.
const (
	TestPSI = "psi"
	TestKS  = "ks"
)

// DriftPrediction is the name under which monitor.drift.columns speaks of the
// model's prediction.
const DriftPrediction = "prediction"

// DriftTest returns the test of a feature, or of DriftPrediction, complete:
// with what the pipeline says for all columns where it says nothing for this
// one.
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
