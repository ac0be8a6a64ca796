package signature

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/shared/onnxfile"
)

// fits lists the element types that a column's type may go in as.
var fits = map[string][]onnxfile.Type{
	config.TypeString:    {onnxfile.String},
	config.TypeInt:       {onnxfile.Int64, onnxfile.Float, onnxfile.Double},
	config.TypeFloat:     {onnxfile.Float, onnxfile.Double},
	config.TypeBool:      {onnxfile.Bool, onnxfile.Float, onnxfile.Double},
	config.TypeTimestamp: {onnxfile.Int64},
}

// Check compares the model's inputs with the features: one tensor [N, 1] for
// each, named like it (or as skl2onnx writes its name), or one float matrix [N, features] for all. The error
// joins every mismatch, each in words for the trainer's author.
func Check(s *onnxfile.File, features []config.Column) error {
	var errs []error
	if len(s.Outputs) == 0 {
		errs = append(errs, errors.New("the model has no output"))
	}
	if len(features) == 0 { // a pipeline that does not say
		return errors.Join(errs...)
	}
	if in, ok := matrix(s, features); ok {
		return errors.Join(append(errs, checkMatrix(in, features)...)...)
	}
	var inputs, names []string
	for _, in := range s.Inputs {
		inputs = append(inputs, in.Name)
	}
	for _, f := range features {
		names = append(names, f.Name)
	}
	places := onnxfile.MatchInputs(inputs, names)
	for i, f := range features {
		if places[i] < 0 {
			errs = append(errs, missing(f, onnxfile.WhyUnmatched(f.Name, inputs, names)))
			continue
		}
		errs = append(errs, checkFeature(s.Inputs[places[i]], f)...)
	}
	for i, in := range s.Inputs {
		if !slices.Contains(places, i) {
			errs = append(errs, fmt.Errorf("input %q is not a feature of the pipeline; its features are %s", in.Name, strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

// matrix is the one float input that holds all features, if there is one.
func matrix(s *onnxfile.File, features []config.Column) (onnxfile.Tensor, bool) {
	if len(s.Inputs) != 1 {
		return onnxfile.Tensor{}, false
	}
	in := s.Inputs[0]
	return in, isFloat(in.Type) && (len(features) > 1 || in.Name != features[0].Name)
}

func isFloat(t onnxfile.Type) bool { return t == onnxfile.Float || t == onnxfile.Double }

func checkMatrix(in onnxfile.Tensor, features []config.Column) []error {
	var errs []error
	if in.Shape != nil {
		switch n := len(features); {
		case len(in.Shape) != 2:
			errs = append(errs, fmt.Errorf("input %q has %d dimensions; a matrix of all features has the shape [N, %d]", in.Name, len(in.Shape), n))
		case in.Shape[1] != -1 && in.Shape[1] != int64(n):
			errs = append(errs, fmt.Errorf("input %q takes %d columns; the pipeline has %d features", in.Name, in.Shape[1], n))
		}
	}
	errs = append(errs, checkRows(in)...)
	for _, f := range features {
		if f.Type != "" && !slices.Contains(fits[f.Type], onnxfile.Float) {
			errs = append(errs, fmt.Errorf("input %q is one float matrix, which cannot hold the feature %s of type %s: give the model an input for each feature, named like it",
				in.Name, f.Name, f.Type))
		}
	}
	return errs
}

// missing says that no input takes the feature, and why if it is known.
func missing(f config.Column, why string) error {
	if why != "" {
		why = "; " + why
	}
	return fmt.Errorf("the feature %s has no input: the model needs one of this name%s%s", f.Name, wanted(f.Type), why)
}

func checkFeature(in onnxfile.Tensor, f config.Column) []error {
	var errs []error
	if f.Type != "" && !slices.Contains(fits[f.Type], in.Type) {
		errs = append(errs, fmt.Errorf("input %s is %s; a feature of type %s goes in as %s", in.Name, in.Type, f.Type, types(f.Type)))
	}
	if n := len(in.Shape); in.Shape != nil && (n == 0 || n > 2 || n == 2 && in.Shape[1] != -1 && in.Shape[1] != 1) {
		errs = append(errs, fmt.Errorf("input %s has the shape %v; the input of a feature has [N, 1]", in.Name, in.Shape))
	}
	return append(errs, checkRows(in)...)
}

// maxFixedRows is how many rows an input may be fixed to.
const maxFixedRows = 4096

// checkRows refuses an input of a fixed number of rows that nobody would mean. Others are run so many rows at a time.
func checkRows(in onnxfile.Tensor) []error {
	if len(in.Shape) == 0 || in.Shape[0] == -1 || in.Shape[0] >= 1 && in.Shape[0] <= maxFixedRows {
		return nil
	}
	return []error{fmt.Errorf("input %s takes %d rows and no other number: from 1 to %d can be; export the model with a variable first dimension", in.Name, in.Shape[0], maxFixedRows)}
}

func wanted(columnType string) string {
	if columnType == "" {
		return ""
	}
	return ", " + types(columnType) + " of shape [N, 1]"
}

func types(columnType string) string {
	var names []string
	for _, t := range fits[columnType] {
		names = append(names, t.String())
	}
	return strings.Join(names, " or ")
}
