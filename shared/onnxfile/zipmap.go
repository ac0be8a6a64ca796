package onnxfile

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ZipMap turns a tensor of probabilities into a sequence of maps, which is the
// default of skl2onnx and the only form that CatBoost exports. The tensor has
// all that the maps have, so a model is read and run without its ZipMaps.
type ZipMap struct {
	// Input is the tensor of probabilities, Output what the maps are called.
	Input, Output string
	// Classes are the keys of the maps, in the order of the tensor's columns.
	Classes []string
}

// readZipMaps finds the ZipMaps whose maps are an output of the graph, and
// describes these outputs as the tensors that they are made of.
func (f *File) readZipMaps(graph []byte) error {
	used := map[string]bool{}
	var found []ZipMap
	err := fields(graph, func(num protowire.Number, _ uint64, b []byte) error {
		if num != 1 {
			return nil
		}
		n, err := readNodeHead(b)
		for _, name := range n.inputs {
			used[name] = true
		}
		if n.isZipMap() {
			found = append(found, ZipMap{n.inputs[0], n.outputs[0], n.classes})
		}
		return err
	})
	for _, z := range found {
		i := slices.IndexFunc(f.Outputs, func(t Tensor) bool { return t.Name == z.Output && t.Other != "" })
		if i < 0 || used[z.Output] {
			continue
		}
		f.ZipMaps = append(f.ZipMaps, z)
		f.Outputs[i] = Tensor{Name: z.Output, Type: Float, Shape: []int64{-1, int64(len(z.Classes))}}
	}
	return err
}

// nodeHead is what a node is, and what it is connected to.
type nodeHead struct {
	inputs, outputs []string
	op, domain      string
	classes         []string
}

func (n nodeHead) isZipMap() bool {
	return n.op == "ZipMap" && n.domain == "ai.onnx.ml" && len(n.inputs) == 1 && len(n.outputs) == 1 && len(n.classes) > 0
}

func readNodeHead(b []byte) (n nodeHead, err error) {
	err = fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1:
			n.inputs = append(n.inputs, string(b))
		case 2:
			n.outputs = append(n.outputs, string(b))
		case 4:
			n.op = string(b)
		case 5:
			classes, err := readClasses(b)
			n.classes = append(n.classes, classes...)
			return err
		case 7:
			n.domain = string(b)
		}
		return nil
	})
	return n, err
}

// withoutZipMaps returns the model with the outputs that Read has described: in
// place of each of f.ZipMaps the tensor of probabilities comes out, under the
// name of the maps.
func (f *File) withoutZipMaps(data []byte) ([]byte, error) {
	if len(f.ZipMaps) == 0 {
		return data, nil
	}
	out := make([]byte, 0, len(data)+64)
	standard := false // whether the model uses the standard operators, which have no domain
	err := rawFields(data, func(num protowire.Number, raw, b []byte) error {
		switch num {
		case 7:
			graph, err := f.unzip(b)
			out = appendBytes(out, 7, graph)
			return err
		case 8:
			domain, _, err := readEntry(b)
			standard = standard || domain == "" || domain == "ai.onnx"
			if err != nil {
				return err
			}
		}
		out = append(out, raw...)
		return nil
	})
	if !standard { // Identity is one of them
		out = appendBytes(out, 8, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), identityVersion))
	}
	return out, err
}

// identityVersion is a version of the standard operators that has Identity and
// that all versions of the file format allow.
const identityVersion = 9

// unzip replaces the ZipMaps of a graph.
func (f *File) unzip(graph []byte) ([]byte, error) {
	is := func(name string) bool {
		return slices.ContainsFunc(f.ZipMaps, func(z ZipMap) bool { return z.Output == name })
	}
	out := make([]byte, 0, len(graph)+64)
	err := rawFields(graph, func(num protowire.Number, raw, b []byte) error {
		switch num {
		case 1:
			n, err := readNodeHead(b)
			if err != nil {
				return err
			}
			if n.isZipMap() && is(n.outputs[0]) {
				out = appendBytes(out, 1, identity(n.inputs[0], n.outputs[0]))
				return nil
			}
		case 12, 13:
			t, err := readValueInfo(b)
			if err != nil {
				return err
			}
			if is(t.Name) {
				if num == 12 {
					out = appendBytes(out, 12, floats(t.Name))
				}
				return nil
			}
		}
		out = append(out, raw...)
		return nil
	})
	return out, err
}

// identity is a node that gives input the name output.
func identity(input, output string) []byte {
	b := appendBytes(nil, 1, []byte(input))
	b = appendBytes(b, 2, []byte(output))
	return appendBytes(b, 4, []byte("Identity"))
}

// floats describes a tensor of floats whose shape is not said.
func floats(name string) []byte {
	tensor := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(Float))
	return appendBytes(appendBytes(nil, 1, []byte(name)), 2, appendBytes(nil, 1, tensor))
}

func appendBytes(b []byte, num protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), content)
}

// rawFields calls f for each field of a message: raw is the whole field, b the
// content of what has a length.
func rawFields(data []byte, f func(num protowire.Number, raw, b []byte) error) error {
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeField(data)
		if n < 0 {
			return errWire
		}
		var b []byte
		if typ == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(data)
			b, _ = protowire.ConsumeBytes(data[tag:])
		}
		if err := f(num, data[:n], b); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
