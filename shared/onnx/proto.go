package onnx

import "millrace.dev/shared/onnxfile"

// graph is what the file says of its inputs and outputs. The runtime's own
// binding tells that only by loading the model a second time.
type graph struct {
	inputs, outputs []Tensor
	classes         []string   // of its answers, nil if the file does not say
	classLists      [][]string // the classes that its classifier nodes have built in, in their order
}

func graphOf(f *onnxfile.File) graph {
	return graph{tensorsOf(f.Inputs), tensorsOf(f.Outputs), f.Classes(), f.ClassLists}
}

func names(tensors []Tensor) []string {
	all := make([]string, len(tensors))
	for i, t := range tensors {
		all[i] = t.Name
	}
	return all
}

func tensorsOf(in []onnxfile.Tensor) []Tensor {
	var out []Tensor
	for _, t := range in {
		out = append(out, Tensor{t.Name, t.Datatype(), t.Shape})
	}
	return out
}
