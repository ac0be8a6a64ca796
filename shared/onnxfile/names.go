package onnxfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MatchInputs returns for each feature the place of the input that takes it, -1
// when no input does. An input takes the feature that has its name, else the one
// feature that skl2onnx gives its name: `mean radius` goes into mean_radius.
// Where this name could be that of two features it is that of neither.
func MatchInputs(inputs, features []string) []int {
	places := make([]int, len(features))
	for i, feature := range features {
		places[i] = slices.Index(inputs, feature)
		if places[i] >= 0 {
			continue
		}
		name := rewritten(feature)
		if !slices.Contains(features, name) && len(rewrittenTo(name, features)) == 1 {
			places[i] = slices.Index(inputs, name)
		}
	}
	return places
}

// WhyUnmatched says why MatchInputs cannot take an input for the feature
// although one has the name that skl2onnx gives it, and what to do; "" when
// there is no such input.
func WhyUnmatched(feature string, inputs, features []string) string {
	name := rewritten(feature)
	if name == feature || !slices.Contains(inputs, name) {
		return ""
	}
	others := rewrittenTo(name, features)
	if slices.Contains(features, name) {
		others = append(others, name)
	}
	return fmt.Sprintf("skl2onnx writes a name with _ for every other character than letters and digits, so input %s could be each of %s: "+
		"name the inputs of the ONNX file like the features, or give the columns names of letters, digits and _ alone", name, strings.Join(others, ", "))
}

func rewrittenTo(name string, features []string) (all []string) {
	for _, feature := range features {
		if feature != name && rewritten(feature) == name {
			all = append(all, feature)
		}
	}
	return all
}

// strange is what skl2onnx replaces in names.
var strange = regexp.MustCompile(`[^\p{L}\p{N}_+]`)

// rewritten returns the name that skl2onnx gives an input of this name.
func rewritten(name string) string {
	name = strange.ReplaceAllString(name, "_")
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}
