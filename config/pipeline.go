package config

import (
	"slices"
	"strings"
)

// APIVersion and Kind are what a pipeline file says it is.
const (
	APIVersion = "millrace.dev/v1alpha1"
	Kind       = "Pipeline"
)

// Pipeline is one pipeline file with every default filled in. The zero value
// is no valid pipeline; Load and FromJSON make one. A Pipeline is read-only
// once made, and then safe for concurrent use.
//
// The json tags are the names in the YAML file. Beside them stand the tags by
// which the decoder checks a file and the generator writes the JSON Schema:
//
//	required:"true"   the field must be written
//	default:"x"       what stands there when it is not written
//	enum:"a,b"        the allowed values
//	later:"c,d"       values that are reserved, refused with "not yet"
//	min:"0" max:"1"   bounds, included; above and below leave the bound out
//	nonempty:"true"   a list or text that must not be empty when written
//
// The comment over a field is its description in the schema.
type Pipeline struct {
	// The version of this format.
	APIVersion string `json:"apiVersion" required:"true" enum:"millrace.dev/v1alpha1"`
	// What the file describes.
	Kind string `json:"kind" required:"true" enum:"Pipeline"`
	// Who the pipeline is.
	Metadata Metadata `json:"metadata" required:"true"`
	// What the pipeline does.
	Spec Spec `json:"spec" required:"true"`
}

// Metadata names the pipeline. Labels and annotations are outside the digest.
type Metadata struct {
	// Name of the pipeline and of its model: a DNS label.
	Name string `json:"name" required:"true"`
	// Free labels; they change no digest.
	Labels map[string]string `json:"labels,omitempty"`
	// Free notes; they change no digest.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Spec is the whole life of the pipeline's model, one section a step.
type Spec struct {
	// One sentence for people: the question the model answers.
	Description string `json:"description,omitempty"`
	// Which uploads are the pipeline's data, and the contract they keep.
	Data Data `json:"data"`
	// What the model is.
	Model Model `json:"model" required:"true"`
	// How a model is trained. Without it, models come by registration.
	Train *Train `json:"train,omitempty"`
	// How a new model is judged. Without gates, nothing is gated.
	Evaluate Evaluate `json:"evaluate"`
	// How an approved model goes live.
	Promote Promote `json:"promote"`
	// How predictions are answered.
	Serve Serve `json:"serve"`
	// How what is served is watched.
	Monitor Monitor `json:"monitor"`
	// What happens by the clock.
	Schedules []Schedule `json:"schedules,omitempty"`
}

// Model is what is trained, judged and served.
type Model struct {
	// How the model is stored.
	Format string `json:"format" default:"onnx" enum:"onnx" later:"container"`
	// What kind of question the model answers.
	Task string `json:"task" required:"true" enum:"binary_classification,multiclass_classification,regression"`
	// The column that is predicted. Required with data.columns.
	Label string `json:"label,omitempty"`
	// The label's values in the order of the model's probabilities. Default: the label column's values, sorted.
	Classes []Value `json:"classes,omitempty"`
	// The columns the model gets, in the model's order. Required with data.columns.
	Features []string `json:"features,omitempty"`
}

// The tasks a model can have.
const (
	TaskBinary     = "binary_classification"
	TaskMulticlass = "multiclass_classification"
	TaskRegression = "regression"
)

// Schedule is something that happens by the clock.
type Schedule struct {
	// Name of the schedule: a DNS label, unique in the pipeline.
	Name string `json:"name" required:"true"`
	// When: five cron fields, or @hourly, @daily, @weekly, @monthly, @yearly.
	Cron string `json:"cron" required:"true"`
	// The time zone the cron fields are in, such as Europe/Berlin.
	Zone string `json:"zone" default:"UTC"`
	// What is done.
	Do string `json:"do" required:"true" enum:"retrain,drift-check" later:"score"`
}

// Name is the pipeline's name, and its model's.
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

// Label returns the column the model predicts, and whether the contract lists it.
func (p *Pipeline) Label() (Column, bool) { return p.Column(p.Spec.Model.Label) }

// Classes returns the text of the label's classes in the order of the model's
// probabilities. It is empty for a regression, and when neither the classes
// nor the label's values are written: then the classes are the values of the
// training snapshot, sorted.
func (p *Pipeline) Classes() []string {
	classes := make([]string, len(p.Spec.Model.Classes))
	for i, c := range p.Spec.Model.Classes {
		classes[i] = c.String()
	}
	return classes
}

// Trains reports whether the pipeline trains its models itself.
func (p *Pipeline) Trains() bool { return p.Spec.Train != nil }

// WantsUpload reports whether an object is data of this pipeline. The bucket
// is a URL, s3://landing, and empty for the gateway's own.
func (p *Pipeline) WantsUpload(bucket, key string) bool {
	return wants(p.Spec.Data.Uploads, bucket, key)
}

// WantsLabels reports whether an object carries labels of this pipeline. The
// bucket is a URL, and empty for the gateway's own. An object that is both is
// labels.
func (p *Pipeline) WantsLabels(bucket, key string) bool {
	return wants(p.Spec.Data.Labels.Uploads, bucket, key)
}
