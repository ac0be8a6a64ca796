// Package onnx loads and runs models with ONNX Runtime.
//
// A model file is judged twice. Open refuses what is not an ONNX model, and what would read files outside its folder.
// Check compares the model's inputs and outputs with what the pipeline file promises (the Contract), reports every
// mismatch at once, in words, and settles how columns reach tensors. After that Score answers batches of rows, from
// any number of goroutines; its tensors are made once and used again. A model that nobody has run yet should pass
// ProbeApart before all that, for ONNX Runtime can be killed by a model.
//
//	m, err := onnx.Open("model.onnx", onnx.Options{})
//	err = m.Check(onnx.Contract{Task: onnx.Regression, Features: []onnx.Feature{{Name: "distance", Type: onnx.Float}}})
//	var out onnx.Scores
//	err = m.Score(ctx, &onnx.Batch{Rows: 1, Columns: []onnx.Column{{Name: "distance", Floats: []float64{733}}}}, &out)
//
// A number goes in as the nearest that the model's input holds, as a trainer's conversion to float32 has it: 0.1 and the
// whole number 16,777,217 are rounded for FP32. A number that would become infinite is an error.
//
// What is not done: execution providers other than the CPU, and strings that hold a NUL (the binding hands over C
// strings).
//
// The library itself (libonnxruntime) is found and loaded when the first model is opened, once a process: see Init.
package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

var (
	// ErrClosed is what a Model answers after Close.
	ErrClosed = errors.New("the model is closed")
	// ErrUnchecked is what Score answers before a Check has passed: the contract says which column is which.
	ErrUnchecked = errors.New("the model was not checked against a contract yet")
)

// Type is the type of a column, in the words of the pipeline file.
type Type string

// The types a feature can have.
const (
	String    Type = "string"
	Int       Type = "int"
	Float     Type = "float"
	Bool      Type = "bool"
	Timestamp Type = "timestamp"
)

// The tasks a model can have, in the words of the pipeline file.
const (
	BinaryClassification     = "binary_classification"
	MulticlassClassification = "multiclass_classification"
	Regression               = "regression"
)

// Feature is a column a model reads.
type Feature struct {
	Name   string
	Type   Type
	Values []string // what the column may hold, if that is known; made-up rows keep to it, as to Min and Max
	Min    *float64 // the smallest value of an int or a float, nil if not known
	Max    *float64 // the largest
	// Required says that the pipeline allows no missing value. Score does not look at it: requests are held to it.
	Required bool
	// Missing is what a missing string is for the model.
	Missing string
}

// Contract is what the pipeline file promises about its model.
type Contract struct {
	Task     string
	Features []Feature // in the order a float matrix has its columns
	Classes  []string  // in the order of the columns of `probabilities`; empty for a regression
	// BatchDependent allows a row's answer to depend on the rows beside it.
	BatchDependent bool
	// Activation makes probabilities of what a classification model answers: Sigmoid or Softmax, "" if it answers
	// probabilities.
	Activation string
}

// The activations of Contract.
const (
	Sigmoid = "sigmoid"
	Softmax = "softmax"
)

// Tensor describes an input or an output, in the words of the Open Inference Protocol.
type Tensor struct {
	Name     string
	Datatype string  // FP32, FP64, INT64, BOOL, BYTES, ...; for what is no tensor, what it is ("sequence of maps")
	Shape    []int64 // -1: variable; nil: the model does not say
}

// Signature is what goes into a model and what comes out.
type Signature struct {
	// Inputs are named like the features that they take after Check, like the
	// model names them before.
	Inputs  []Tensor
	Outputs []Tensor
	// Classes are those that the model says it answers by, in the order of their
	// probabilities; nil if it does not say.
	Classes []string
	// Matrix says that the model takes all features as one float matrix. Known after Check.
	Matrix bool
	// ScoreOutput is the output with the probabilities or the predictions, LabelOutput the one with the predicted
	// classes, "" if the model has no such output. Known after Check.
	ScoreOutput string
	LabelOutput string
}

// Datatype returns the datatype that the model takes a feature as, "" if it has no input for it. Known after Check.
func (s Signature) Datatype(feature string) string {
	if s.Matrix && len(s.Inputs) == 1 {
		return s.Inputs[0].Datatype
	}
	if i := slices.IndexFunc(s.Inputs, func(t Tensor) bool { return t.Name == feature }); i >= 0 {
		return s.Inputs[i].Datatype
	}
	return ""
}

// Overflows reports whether a finite number is beyond what FP32 holds. Other numbers are rounded to the nearest that FP32
// holds.
func Overflows(v float64) bool { return math.IsInf(float64(float32(v)), 0) && !math.IsInf(v, 0) }

// Column is one feature of a batch. Exactly one of the value slices is used, by the feature's type
// (a timestamp is an int: microseconds since 1970), and it has as many values as the batch has rows.
type Column struct {
	Name    string
	Strings []string
	Ints    []int64
	Floats  []float64
	Bools   []bool
	Nulls   []bool // nil: nothing is missing; else a flag for each row, and the value of a missing row is ignored
}

// Batch is rows to score, by column. Score finds columns by name, fastest in the order of the features.
// Columns that are no feature are ignored.
type Batch struct {
	Rows    int
	Columns []Column
}

// Scores receives what a model answers. Score overwrites it and uses its memory again, so a Scores kept between calls
// costs no allocation.
type Scores struct {
	Rows   int
	Width  int       // values in a row: the number of classes, 1 for a regression
	Values []float64 // row by row; exact also for FP32 outputs (Signature tells which it was)
	Labels []string  // the class of each row as the model names it; nil unless Options.Labels and the model has such an output
}

// reset makes s ready for so many rows of so many values.
func (s *Scores) reset(rows, width int) {
	s.Rows, s.Width = rows, width
	s.Values = slices.Grow(s.Values[:0], rows*width)
	s.Labels = s.Labels[:0]
}

// Row returns the values of row i.
func (s *Scores) Row(i int) []float64 { return s.Values[i*s.Width : (i+1)*s.Width] }

// Options say how a model is run.
type Options struct {
	// Threads is how many threads one call of Score may use; 0 means 1, which is best for small batches and for many
	// callers at once.
	Threads int
	// Labels asks for the label output too.
	Labels bool
}

func (o Options) threads() (int, error) {
	switch {
	case o.Threads < 0 || o.Threads > 1024:
		return 0, fmt.Errorf("threads is %d, allowed are 0 (meaning 1) to 1024", o.Threads)
	case o.Threads == 0:
		return 1, nil
	}
	return o.Threads, nil
}
