package signature

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace.dev/config"
)

// fits lists the element types that a column's type may go in as.
var fits = map[string][]Type{
	config.TypeString:    {String},
	config.TypeInt:       {Int64, Float, Double},
	config.TypeFloat:     {Float, Double},
	config.TypeBool:      {Bool, Float, Double},
	config.TypeTimestamp: {Int64},
}

// Check compares the model's inputs with the features: one tensor [N, 1] for
// each, named like it, or one float matrix [N, features] for all. The error
// joins every mismatch, each in words for the trainer's author.
func (s Signature) Check(features []config.Column) error {
	var errs []error
	if len(s.Outputs) == 0 {
		errs = append(errs, errors.New("the model has no output"))
	}
	if len(features) == 0 { // a pipeline that does not say
		return errors.Join(errs...)
	}
	if in, ok := s.matrix(features); ok {
		return errors.Join(append(errs, checkMatrix(in, features)...)...)
	}
	var names []string
	for _, f := range features {
		names = append(names, f.Name)
		errs = append(errs, s.checkFeature(f)...)
	}
	for _, in := range s.Inputs {
		if !slices.Contains(names, in.Name) {
			errs = append(errs, fmt.Errorf("input %q is no feature of the pipeline; its features are %s", in.Name, strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

// matrix is the one float input that holds all features, if there is one.
func (s Signature) matrix(features []config.Column) (Tensor, bool) {
	if len(s.Inputs) != 1 {
		return Tensor{}, false
	}
	in := s.Inputs[0]
	return in, isFloat(in.Type) && (len(features) > 1 || in.Name != features[0].Name)
}

func isFloat(t Type) bool { return t == Float || t == Double }

func checkMatrix(in Tensor, features []config.Column) []error {
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
		if f.Type != "" && !slices.Contains(fits[f.Type], Float) {
			errs = append(errs, fmt.Errorf("input %q is one float matrix, which can't hold the feature %s of type %s: give the model an input for each feature, named like it",
				in.Name, f.Name, f.Type))
		}
	}
	return errs
}

func (s Signature) checkFeature(f config.Column) []error {
	i := slices.IndexFunc(s.Inputs, func(t Tensor) bool { return t.Name == f.Name })
	if i < 0 {
		return []error{fmt.Errorf("the feature %s has no input: the model needs one of this name%s", f.Name, wanted(f.Type))}
	}
	in := s.Inputs[i]
	var errs []error
	if f.Type != "" && !slices.Contains(fits[f.Type], in.Type) {
		errs = append(errs, fmt.Errorf("input %s is %s; a feature of type %s goes in as %s", in.Name, in.Type, f.Type, types(f.Type)))
	}
	if n := len(in.Shape); in.Shape != nil && (n == 0 || n > 2 || n == 2 && in.Shape[1] != -1 && in.Shape[1] != 1) {
		errs = append(errs, fmt.Errorf("input %s has the shape %v; the input of a feature has [N, 1]", in.Name, in.Shape))
	}
	return append(errs, checkRows(in)...)
}

// checkRows refuses an input of a fixed number of rows.
func checkRows(in Tensor) []error {
	if len(in.Shape) == 0 || in.Shape[0] == -1 {
		return nil
	}
	return []error{fmt.Errorf("input %s takes %d rows and no other number: export the model with a variable first dimension", in.Name, in.Shape[0])}
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
