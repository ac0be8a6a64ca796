package events

import (
	"fmt"
	"strconv"
	"strings"
)

// ModelRegistered brings a model that was trained elsewhere. The gateway sends
// it; it is the next version and is judged like any other.
type ModelRegistered struct {
	Model Model `json:"model"`
	// Name is what the person called it (a file name, a run of another system).
	Name string `json:"name,omitempty"`
	By   string `json:"by,omitempty"`
	// Metadata is kept as it came.
	Metadata map[string]string `json:"metadata,omitempty"`
}

func (ModelRegistered) EventType() string      { return "dev.millrace.model.registered.v1" }
func (d ModelRegistered) EventSubject() string { return "model/" + Short(d.Model.Digest) }
func (d ModelRegistered) Validate() error {
	var m mistakes
	d.Model.validate(&m)
	return m.err()
}

// EvaluationRequested asks to judge a version again, under the gates that rule now.
type EvaluationRequested struct {
	Version int    `json:"version"`
	By      string `json:"by,omitempty"`
}

func (EvaluationRequested) EventType() string      { return "dev.millrace.evaluation.requested.v1" }
func (d EvaluationRequested) EventSubject() string { return modelSubject(d.Version) }
func (d EvaluationRequested) Attributes() map[string]string {
	return map[string]string{"version": strconv.Itoa(d.Version)}
}
func (d EvaluationRequested) Validate() error { return versionMistake(d.Version) }

// Metric is one measured value with its confidence interval.
type Metric struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Low and High bound the value at the stated confidence; nil where no
	// interval is given.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// StdErr is the value's standard error, 0 where none is given.
	StdErr float64 `json:"stdErr,omitempty"`
	// Gain is by how much the value is better than the champion's on the same
	// rows; nil where there is no champion to compare with.
	Gain *Gain `json:"gain,omitempty"`
}

// Gain is a difference between two models on the same rows: positive is
// better, whichever way the metric points.
type Gain struct {
	Value  float64 `json:"value"`
	StdErr float64 `json:"stdErr"`
	// Effective is how many rows carry the difference, Rows how many independent
	// rows, or groups of rows, there are.
	Effective float64 `json:"effective,omitempty"`
	Rows      int     `json:"rows,omitempty"`
	// Discordant is there for a share of rows, such as accuracy.
	Discordant *Discordant `json:"discordant,omitempty"`
}

// Discordant counts the rows on which only one of two models is right.
type Discordant struct {
	// Better are rows on which only the candidate is right, Worse those on which
	// only the champion is, Of all rows that count.
	Better int `json:"better"`
	Worse  int `json:"worse"`
	Of     int `json:"of"`
}

// SliceScore is a model's score on the rows with one value in one column.
type SliceScore struct {
	Column  string   `json:"column"`
	Value   string   `json:"value"`
	Rows    int64    `json:"rows"`
	Metrics []Metric `json:"metrics"`
}

// Score is how one version did on a hold-out.
type Score struct {
	Version int          `json:"version"`
	Metrics []Metric     `json:"metrics"`
	Slices  []SliceScore `json:"slices,omitempty"`
}

// Metric gives the score's metric by name.
func (s Score) Metric(name string) (Metric, bool) {
	for _, m := range s.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// Verdict is what one gate said: the value, the bound and the reason.
type Verdict struct {
	// Gate is the rule in short: "roc_auc >= 0.65".
	Gate   string `json:"gate"`
	Metric string `json:"metric"`
	// Slice is the column and value it was applied to, "" for the whole.
	Slice  string  `json:"slice,omitempty"`
	Value  float64 `json:"value"`
	Bound  float64 `json:"bound"`
	Passed bool    `json:"passed"`
	// Low and High are one-sided bounds at Level: of the gain over the champion,
	// or of the value for a bound with a confidence; nil without a comparison or confidence.
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
	Level float64  `json:"level,omitempty"`
	// Method is the name of the test, Rows how many rows it saw.
	Method string `json:"method,omitempty"`
	Rows   int64  `json:"rows,omitempty"`
	// Undecided says that the evidence decides neither way, and Needed about how
	// many rows would; 0 if that is not known.
	Undecided bool  `json:"undecided,omitempty"`
	Needed    int64 `json:"needed,omitempty"`
	// Reason is one sentence that says value, bound and what follows.
	Reason string `json:"reason"`
}

// Evaluation is how a version was judged.
type Evaluation struct {
	Version int    `json:"version"`
	Run     string `json:"run,omitempty"`
	Config  string `json:"config"`
	// Holdout is what both models were run over.
	Holdout Ref   `json:"holdout,omitzero"`
	Rows    int64 `json:"rows"`
	Score   Score `json:"score"`
	// Champion is the score of the model that served at that time, if any.
	Champion *Score    `json:"champion,omitempty"`
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// Columns is set if the version reads other columns than the champion of that
	// time: a person has to approve it before it gets traffic.
	Columns *ColumnChange `json:"columns,omitempty"`
	// Reason sums the verdicts up in one sentence.
	Reason string `json:"reason"`
	// Report holds the whole of it, all slices included.
	Report Ref `json:"report,omitzero"`
}

// ColumnChange is how the columns that a version reads differ from those of the
// champion. Names are of columns.
type ColumnChange struct {
	// Champion is the version it is compared with.
	Champion int `json:"champion"`
	// Added are read by the version only, Removed by the champion only, and Retyped
	// by both, with another type.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Retyped []string `json:"retyped,omitempty"`
}

// String returns the change as a part of a sentence.
func (c ColumnChange) String() string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"also ", c.Added}, {"no longer ", c.Removed}, {"with another type ", c.Retyped}} {
		const most = 10
		if len(p.names) == 0 {
			continue
		}
		list := strings.Join(p.names[:min(len(p.names), most)], ", ")
		if more := len(p.names) - most; more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, p.what+list)
	}
	return fmt.Sprintf("it reads other columns than champion v%d: %s", c.Champion, strings.Join(parts, "; "))
}

// EvaluationReport is what Evaluation.Report leads to, as JSON: the whole of the
// evaluation, with all slices and verdicts, and what does not fit into an event.
type EvaluationReport struct {
	Evaluation
	Approved bool `json:"approved"`
	// Unlabelled rows of the hold-out were left out.
	Unlabelled int64 `json:"unlabelled,omitempty"`
	// Foreign rows have a label other than the two classes, and were left out.
	Foreign int64 `json:"foreign,omitempty"`
	// Against is the champion of that time, 0 if there was none: also one that
	// could not run on the hold-out and therefore has no score.
	Against int `json:"against,omitempty"`
	// Notes are what could not be measured or compared, and why.
	Notes []string `json:"notes,omitempty"`
	// Scores is the profile of what the version answered over the hold-out
	// (package table, binary form; columns prediction and score, as in the
	// prediction log): the reference for drift of the prediction.
	Scores Ref `json:"scores,omitzero"`
}

func (d Evaluation) validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	m.required("reason", d.Reason)
	return m.err()
}

func (d Evaluation) attributes(verdict string) map[string]string {
	return map[string]string{"verdict": verdict, "version": strconv.Itoa(d.Version)}
}

// ModelApproved says that a version passed its gates. evaluate sends it.
type ModelApproved struct{ Evaluation }

func (ModelApproved) EventType() string               { return "dev.millrace.model.approved.v1" }
func (d ModelApproved) EventSubject() string          { return modelSubject(d.Version) }
func (d ModelApproved) Attributes() map[string]string { return d.attributes("approved") }
func (d ModelApproved) Validate() error               { return d.validate() }

// ModelRejected says that a version failed a gate, or could not be judged.
// evaluate sends it.
type ModelRejected struct{ Evaluation }

func (ModelRejected) EventType() string               { return "dev.millrace.model.rejected.v1" }
func (d ModelRejected) EventSubject() string          { return modelSubject(d.Version) }
func (d ModelRejected) Attributes() map[string]string { return d.attributes("rejected") }
func (d ModelRejected) Validate() error               { return d.validate() }

// ModelPromoted says that a version is the champion from now on. promote
// sends it with the RolloutCompleted of its last step.
type ModelPromoted struct {
	Version int `json:"version"`
	// Previous is the champion before, 0 if there was none.
	Previous int    `json:"previous,omitempty"`
	Reason   string `json:"reason"`
}

func (ModelPromoted) EventType() string      { return "dev.millrace.model.promoted.v1" }
func (d ModelPromoted) EventSubject() string { return modelSubject(d.Version) }
func (d ModelPromoted) Attributes() map[string]string {
	return map[string]string{"version": strconv.Itoa(d.Version)}
}
func (d ModelPromoted) Validate() error { return versionMistake(d.Version) }

// ModelRolledBack says that a version was taken out of traffic. promote sends
// it with the rollout event that changes the route.
type ModelRolledBack struct {
	// Version is the one that left, To the one that serves instead.
	Version int    `json:"version"`
	To      int    `json:"to"`
	Reason  string `json:"reason"`
	By      string `json:"by,omitempty"`
}

func (ModelRolledBack) EventType() string      { return "dev.millrace.model.rolledback.v1" }
func (d ModelRolledBack) EventSubject() string { return modelSubject(d.Version) }
func (d ModelRolledBack) Attributes() map[string]string {
	return map[string]string{"version": strconv.Itoa(d.Version)}
}
func (d ModelRolledBack) Validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	m.required("reason", d.Reason)
	return m.err()
}

func modelSubject(version int) string { return "model/v" + strconv.Itoa(version) }

func versionMistake(version int) error {
	var m mistakes
	m.add(version > 0, "version %d is not positive", version)
	return m.err()
}
