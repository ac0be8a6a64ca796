package codec

import (
	"fmt"
	"slices"
	"strings"

	"millrace.dev/shared/onnx"
)

// Schema is what the codec knows about a version of a model: which columns a
// request carries and which outputs an answer has. It does not change.
type Schema struct {
	// Model and Version name the version as the protocols do.
	Model, Version string
	Contract       onnx.Contract
	// Inputs and Outputs describe the tensors of requests and answers.
	Inputs, Outputs []Tensor

	index map[string]int // the place of each feature
	// nullable is, for each feature, whether the model can take a missing value.
	nullable []bool
	// single is, for each feature, whether it is a float that the model takes as
	// FP32, so that a number can be too large for it.
	single []bool
	// matrix means that all features are numbers, so that a request may carry
	// them as one tensor.
	matrix  bool
	bits    int      // the precision of what the model answers, 32 or 64
	all     []asked  // asks for all outputs
	classes [][]byte // the names of the classes as JSON strings
}

// Tensor describes a tensor in the words of the Open Inference Protocol.
type Tensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// Metadata describes a model and its versions.
type Metadata struct {
	Name       string            `json:"name"`
	Versions   []string          `json:"versions"`
	Platform   string            `json:"platform"`
	Inputs     []Tensor          `json:"inputs"`
	Outputs    []Tensor          `json:"outputs"`
	Properties map[string]string `json:"properties"`
}

// ModelIndex is one version that can be asked.
type ModelIndex struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// State is READY for a version that is loaded, else UNAVAILABLE: it is
	// loaded when it is asked for.
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// The outputs, by task. They are the protocol's, not the model's: what a
// client reads stays the same when a model is exported by another tool.
const (
	outputLabel         = "label"
	outputProbabilities = "probabilities"
	outputPrediction    = "prediction"
)

// NewSchema returns the schema of a version with this contract and signature.
func NewSchema(model, version string, c onnx.Contract, s onnx.Signature) *Schema {
	sc := &Schema{Model: model, Version: version, Contract: c, index: make(map[string]int, len(c.Features)), matrix: true, bits: 32}
	for i, f := range c.Features {
		taken := s.Datatype(f.Name)
		sc.index[f.Name] = i
		sc.nullable = append(sc.nullable, f.Type == onnx.Float || f.Type == onnx.String || strings.HasPrefix(taken, "FP"))
		sc.single = append(sc.single, f.Type == onnx.Float && taken == "FP32")
		sc.matrix = sc.matrix && (f.Type == onnx.Float || f.Type == onnx.Int || f.Type == onnx.Bool)
		sc.Inputs = append(sc.Inputs, Tensor{f.Name, datatypeOf(f.Type, taken), []int64{-1, 1}})
	}
	if i := slices.IndexFunc(s.Outputs, func(t onnx.Tensor) bool { return t.Name == s.ScoreOutput }); i >= 0 && s.Outputs[i].Datatype == "FP64" {
		sc.bits = 64
	}
	score := fmt.Sprintf("FP%d", sc.bits)
	if c.Task == onnx.Regression {
		sc.Outputs = []Tensor{{outputPrediction, score, []int64{-1}}}
	} else {
		sc.Outputs = []Tensor{
			{outputLabel, "BYTES", []int64{-1}},
			{outputProbabilities, score, []int64{-1, int64(len(c.Classes))}},
		}
		for _, class := range c.Classes {
			sc.classes = append(sc.classes, appendString(nil, class))
		}
	}
	for i := range sc.Outputs {
		sc.all = append(sc.all, asked{at: i})
	}
	return sc
}

// Reads reports whether the version reads a column of this name.
func (sc *Schema) Reads(column string) bool {
	_, ok := sc.index[column]
	return ok
}

// featureList names the features with their types, for error texts.
func (sc *Schema) featureList() string {
	all := make([]string, len(sc.Contract.Features))
	for i, f := range sc.Contract.Features {
		all[i] = f.Name + " " + string(f.Type)
	}
	return strings.Join(all, ", ")
}

// output returns the place of an output.
func (sc *Schema) output(name []byte) (int, error) {
	for i := range sc.Outputs {
		if sc.Outputs[i].Name == view(name) {
			return i, nil
		}
	}
	return -1, Invalid("there is no output %q; the outputs are %s", name, sc.outputList())
}

func (sc *Schema) outputList() string {
	if len(sc.Outputs) == 1 {
		return sc.Outputs[0].Name
	}
	return sc.Outputs[0].Name + ", " + sc.Outputs[1].Name
}

// datatypeOf returns the datatype that clients should send a feature as.
func datatypeOf(t onnx.Type, taken string) string {
	switch t {
	case onnx.String:
		return "BYTES"
	case onnx.Int, onnx.Timestamp:
		return "INT64"
	case onnx.Bool:
		return "BOOL"
	}
	if taken == "FP32" {
		return "FP32"
	}
	return "FP64"
}
