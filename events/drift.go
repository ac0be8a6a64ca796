package events

import "strconv"

// ColumnDrift is one column's test.
type ColumnDrift struct {
	Column string `json:"column"`
	// Test is psi, ks, missing or new_values. The last two are named when they, and
	// not the column's test, have found drift.
	Test string `json:"test"`
	// Statistic is PSI, the KS distance, by how much the share of missing values
	// differs, or the share of values that were never there before.
	Statistic float64  `json:"statistic"`
	PValue    *float64 `json:"pValue,omitempty"`
	// Threshold is what it was held against: of the p-value for ks, of the statistic
	// for the others.
	Threshold float64 `json:"threshold"`
	Drifted   bool    `json:"drifted"`
	Reason    string  `json:"reason,omitempty"`
}

// DriftCheck is a comparison of what was served with what was trained on.
type DriftCheck struct {
	// Version is the champion whose training data is the reference.
	Version int `json:"version"`
	// Batches and Rows are what was compared; From and To their times.
	Batches int    `json:"batches"`
	Rows    int64  `json:"rows"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	// Columns are the features; Prediction is the model's output.
	Columns    []ColumnDrift `json:"columns"`
	Prediction *ColumnDrift  `json:"prediction,omitempty"`
	// Quality is the model's score on what labels have come for.
	Quality     []Metric `json:"quality,omitempty"`
	QualityRows int64    `json:"qualityRows,omitempty"`
	// Last is the sequence-free mark up to where batches were counted: the
	// id of the newest PredictionsLogged compared.
	Last   string `json:"last,omitempty"`
	Reason string `json:"reason"`
}

// DriftChecked says that a check found no drift that calls for action.
// drift-check sends it.
type DriftChecked struct{ DriftCheck }

func (DriftChecked) EventType() string               { return "dev.millrace.drift.checked.v1" }
func (d DriftChecked) EventSubject() string          { return modelSubject(d.Version) }
func (d DriftChecked) Attributes() map[string]string { return d.attributes("steady") }
func (d DriftChecked) Validate() error               { return d.validate() }

// DriftDetected says that what is served has moved away from what was trained
// on. drift-check sends it; Action is what the pipeline wants to follow.
type DriftDetected struct {
	DriftCheck
	// Action is retrain, notify or ignore.
	Action string `json:"action"`
}

func (DriftDetected) EventType() string      { return "dev.millrace.drift.detected.v1" }
func (d DriftDetected) EventSubject() string { return modelSubject(d.Version) }
func (d DriftDetected) Attributes() map[string]string {
	m := d.attributes("drifted")
	m["action"] = d.Action
	return m
}
func (d DriftDetected) Validate() error { return d.validate() }

func (d DriftCheck) attributes(verdict string) map[string]string {
	return map[string]string{"verdict": verdict, "version": strconv.Itoa(d.Version)}
}

func (d DriftCheck) validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	m.required("reason", d.Reason)
	return m.err()
}
