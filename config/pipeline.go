package config

import (
	"slices"
	"strings"
)

// APIVersion and Kind identify a pipeline file.
const (
	APIVersion = "millrace.dev/v1alpha1"
	Kind       = "Pipeline"
)

// Pipeline is one pipeline file with every default filled in. The zero value
// is not a valid pipeline; Load and FromJSON make one. A Pipeline is read-only
// once made, and then safe for concurrent use.
//
// The json tags are the names in the YAML file. The decoder and the generator of
// the JSON Schema use these tags as well:
//
//	required:"true"   the field must be written
//	default:"x"       the value if the field is absent
//	enum:"a,b"        the allowed values
//	later:"c,d"       values that are reserved, refused with "not yet"
//	min:"0" max:"1"   bounds, included; above and below leave the bound out
//	nonempty:"true"   a list or string that must not be empty if written
//	example:"x"       a value as YAML, for the schema and the reference
//
// The comment over a field is its description in the schema and the reference.
// Its last sentence may be "Default: ...", for a default that a tag cannot state.
type Pipeline struct {
	// The version of this format.
	APIVersion string `json:"apiVersion" required:"true" enum:"millrace.dev/v1alpha1" example:"millrace.dev/v1alpha1"`
	// What the file describes.
	Kind string `json:"kind" required:"true" enum:"Pipeline" example:"Pipeline"`
	// The name of the pipeline, its labels and annotations.
	Metadata Metadata `json:"metadata" required:"true"`
	// What the pipeline does.
	Spec Spec `json:"spec" required:"true"`
}

// Metadata names the pipeline. Labels and annotations are outside the digest.
type Metadata struct {
	// Name of the pipeline and of its model: a DNS label.
	Name string `json:"name" required:"true" example:"flights"`
	// Free labels; they do not change the digest.
	Labels map[string]string `json:"labels,omitempty" example:"{team: punctuality}"`
	// Free notes; they do not change the digest.
	Annotations map[string]string `json:"annotations,omitempty" example:"{runbook: 'https://wiki.example.com/flights'}"`
}

// Spec is the lifecycle of the pipeline's model, with a section for each step.
type Spec struct {
	// One sentence for people: the question the model answers.
	Description string `json:"description,omitempty" example:"Will a flight arrive more than 15 minutes late?"`
	// The uploads of the pipeline, and the contract they must meet.
	Data Data `json:"data"`
	// The task, label and features of the model.
	Model Model `json:"model" required:"true"`
	// How a model is trained. Without it, models are registered.
	Train *Train `json:"train,omitempty"`
	// How a new model is evaluated. Without gates, every model is approved.
	Evaluate Evaluate `json:"evaluate"`
	// How an approved model goes live.
	Promote Promote `json:"promote"`
	// How predictions are answered.
	Serve Serve `json:"serve"`
	// How served predictions are monitored.
	Monitor Monitor `json:"monitor"`
	// What happens at fixed times.
	Schedules []Schedule `json:"schedules,omitempty"`
}

// Model describes the model that is trained, evaluated and served.
type Model struct {
	// How the model is stored.
	Format string `json:"format" default:"onnx" enum:"onnx" later:"container" example:"onnx"`
	// The machine-learning task.
	Task string `json:"task" required:"true" enum:"binary_classification,multiclass_classification,regression" example:"binary_classification"`
	// The column that is predicted. Required with data.columns.
	Label string `json:"label,omitempty" example:"late"`
	// The label's values in the order of the model's probabilities. Only for classifications. Default: the classes in the model, else the label column's values, sorted.
	Classes []Value `json:"classes,omitempty" example:"[false, true]"`
	// The input columns of the model, in its order. Required with data.columns.
	Features []string `json:"features,omitempty" example:"[carrier, origin, hour]"`
	// What a missing value of a string feature is for the model: a text, or nan. The trainer's files, the evaluation and requests all have it. Files keep nan as null, which pandas reads as NaN; the model gets the text nan. Default: the empty string.
	Missing map[string]string `json:"missing,omitempty" example:"{tailnum: unknown}"`
	// What makes probabilities of the scores (logits) that the model answers: sigmoid for one value a row, of the second of two classes, or softmax for one value a class. Without it the model answers probabilities. Only for classifications.
	Activation string `json:"activation,omitempty" enum:"sigmoid,softmax" example:"softmax"`
	// Why a row's answer may depend on the other rows of its request, such as a rank among them. When it is set, a model that does so is not refused, and requests are not batched together.
	BatchDependent string `json:"batch_dependent,omitempty" example:"the score is a rank within the request"`
}

// MissingNaN is the value of Model.Missing for a missing string that is null in
// the trainer's files and the text nan for the model: exporters write the
// category NaN so, since a tensor of strings has no NaN.
const MissingNaN = "nan"

// The tasks a model can have.
const (
	TaskBinary     = "binary_classification"
	TaskMulticlass = "multiclass_classification"
	TaskRegression = "regression"
)

// Schedule is something that happens at fixed times.
type Schedule struct {
	// Name of the schedule: a DNS label, unique in the pipeline.
	Name string `json:"name" required:"true" example:"nightly"`
	// When: five cron fields, or @hourly, @daily, @weekly, @monthly, @yearly.
	Cron string `json:"cron" required:"true" example:"'0 2 * * *'"`
	// The time zone of the cron fields.
	Zone string `json:"zone" default:"UTC" example:"Europe/Berlin"`
	// What to start. retrain needs train.
	Do string `json:"do" required:"true" enum:"retrain,drift-check" later:"score" example:"retrain"`
	// What happens for due times that were missed while nothing ran: one for the newest of them, all for each, skip for none. Times before the schedule was configured as it is are not made up for. Default: one.
	CatchUp string `json:"catch_up,omitempty" enum:"skip,one,all" example:"skip"`
	// How long ago a due time may be to be made up for. Default: any time.
	MaxAge Duration `json:"max_age,omitzero" above:"0" example:"12h"`
}

// The values of Schedule.CatchUp.
const (
	CatchUpSkip = "skip"
	CatchUpOne  = "one"
	CatchUpAll  = "all"
)

// When returns when the schedule is due.
func (s Schedule) When() (*Cron, error) { return ParseCron(s.Cron, s.Zone) }

// systemSchedules are the names of the ticks that every pipeline has.
var systemSchedules = []string{"tick", "sweep", "freshness"}

// Name returns the name of the pipeline and of its model.
func (p *Pipeline) Name() string { return p.Metadata.Name }

// Column returns the column of that name, and whether the contract lists it.
func (p *Pipeline) Column(name string) (Column, bool) {
	c, ok := p.Spec.Data.Columns[name]
	c.Name = name
	return c, ok
}

// Columns returns the contract's columns, sorted by name.
func (p *Pipeline) Columns() []Column {
	cols := make([]Column, 0, len(p.Spec.Data.Columns))
	for name, c := range p.Spec.Data.Columns {
		c.Name = name
		cols = append(cols, c)
	}
	slices.SortFunc(cols, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	return cols
}

// Features returns the columns of the model's features, in the model's order.
// A feature that no column describes, as in a pipeline without data, has an
// empty type.
func (p *Pipeline) Features() []Column {
	cols := make([]Column, len(p.Spec.Model.Features))
	for i, name := range p.Spec.Model.Features {
		cols[i], _ = p.Column(name)
	}
	return cols
}

// Compared returns the names of the columns that data.compare is about.
func (p *Pipeline) Compared() []string {
	if c := p.Spec.Data.Compare.Columns; len(c) > 0 {
		return c
	}
	var names []string
	for _, name := range append(slices.Clone(p.Spec.Model.Features), p.Spec.Model.Label) {
		if c, ok := p.Column(name); ok && c.Type != TypeTimestamp {
			names = append(names, name)
		}
	}
	return names
}

// Label returns the column the model predicts, and whether the contract lists it.
func (p *Pipeline) Label() (Column, bool) { return p.Column(p.Spec.Model.Label) }

// Classes returns the text of the label's classes in the order of the model's
// probabilities. It is empty for a regression, and if neither the classes
// nor the label's values are written; the classes are then the sorted values in
// the training snapshot.
func (p *Pipeline) Classes() []string {
	classes := make([]string, len(p.Spec.Model.Classes))
	for i, c := range p.Spec.Model.Classes {
		classes[i] = c.String()
	}
	return classes
}

// Trains reports whether the pipeline trains its models itself.
func (p *Pipeline) Trains() bool { return p.Spec.Train != nil }

// WantsUpload reports whether an object is data of this pipeline. The bucket is
// a URL such as s3://landing, or "" for the gateway's own.
func (p *Pipeline) WantsUpload(bucket, key string) bool {
	return wants(p.Spec.Data.Uploads, bucket, key) || p.HoldsOut(bucket, key)
}

// HoldsOut reports whether an object is held out whole: it is one of the fixed
// test files of data.holdout.uploads. The bucket is as for WantsUpload.
func (p *Pipeline) HoldsOut(bucket, key string) bool {
	return wants(p.Spec.Data.Holdout.Uploads, bucket, key)
}

// UploadGlobs returns the patterns of all objects that the pipeline takes: data,
// fixed test files and labels.
func (p *Pipeline) UploadGlobs() []string {
	d := p.Spec.Data
	return slices.Concat(d.Uploads, d.Holdout.Uploads, d.Labels.Uploads)
}

// WantsLabels reports whether an object has labels of this pipeline. The bucket
// is as for WantsUpload. An object that matches both is taken as labels.
func (p *Pipeline) WantsLabels(bucket, key string) bool {
	return wants(p.Spec.Data.Labels.Uploads, bucket, key)
}
