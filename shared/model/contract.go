package model

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

// Contract returns what a pipeline promises about its models. Features is nil
// when the pipeline does not list them with their types. own are the classes
// that the model says it answers by, nil if it does not say: they are the
// contract's when the pipeline names none. A model that numbers its classes
// from 0 says only how many they are, and the label's values in the profile
// are the classes, in order; so they are when the model says nothing. Classes
// is nil if nothing says them, and for a regression.
func Contract(ctx context.Context, store *artifact.Store, p *config.Pipeline, profile events.Ref, own []string) (onnx.Contract, error) {
	c := onnx.Contract{Task: p.Spec.Model.Task, Features: features(p), BatchDependent: p.Spec.Model.BatchDependent != "", Activation: p.Spec.Model.Activation}
	if c.Task == config.TaskRegression {
		return c, nil
	}
	if c.Classes = p.Classes(); len(c.Classes) > 0 {
		return c, nil
	}
	c.Classes = own
	if profile.IsZero() {
		return c, nil
	}
	values, err := valuesOf(ctx, store, profile, p.Spec.Model.Label)
	if err != nil {
		return c, err
	}
	// A model may write a bool as True.
	if len(values) > 0 && onnx.Numbered(own) && !contains(values, own) || slices.EqualFunc(own, values, strings.EqualFold) {
		c.Classes = values
	}
	return c, nil
}

// contains tells whether all of some classes are among values.
func contains(values, some []string) bool {
	return len(some) > 0 && !slices.ContainsFunc(some, func(class string) bool { return !slices.Contains(values, class) })
}

func features(p *config.Pipeline) (all []onnx.Feature) {
	for _, column := range p.Features() {
		if column.Type == "" {
			return nil
		}
		feature := onnx.Feature{Name: column.Name, Type: onnx.Type(column.Type), Min: column.Min, Max: column.Max, Required: column.Nulls == 0, Missing: p.Spec.Model.Missing[column.Name]}
		for _, v := range column.Values {
			feature.Values = append(feature.Values, v.String())
		}
		all = append(all, feature)
	}
	return all
}

// maxProfileBytes bounds a profile that is read into memory.
const maxProfileBytes = 1 << 30

// valuesOf returns the values of a column of a profile in ascending order.
func valuesOf(ctx context.Context, store *artifact.Store, profile events.Ref, column string) ([]string, error) {
	raw, err := store.Bytes(ctx, profile, maxProfileBytes)
	if err != nil {
		return nil, err
	}
	var p table.Profile
	if err := p.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("read profile %s: %w", profile.Short(), err)
	}
	label := p.Column(column)
	if label == nil {
		return nil, fmt.Errorf("profile %s does not have the label %s", profile.Short(), column)
	}
	var values []string
	for v := range label.Values() {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case int64:
			values = append(values, strconv.FormatInt(v, 10))
		case float64:
			values = append(values, strconv.FormatFloat(v, 'g', -1, 64))
		case bool:
			values = append(values, strconv.FormatBool(v))
		}
	}
	return values, nil
}
