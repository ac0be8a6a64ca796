package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The parts of the ONNX file format that have to be known before ONNX Runtime sees the file: which files it would read
// besides, and what goes in and out. (The runtime's own binding tells the latter only by loading the model a second
// time.) Field numbers are those of onnx.proto.

// graph is what readGraph finds in a model file.
type graph struct {
	inputs, outputs []Tensor
	external        []externalData // every tensor that lies in another file
	classLists      [][]string     // the classes that its classifier nodes have built in, in their order
}

// externalData says where the bytes of one tensor are. Offset and length are as written in the file; they may be absent.
type externalData struct {
	tensor, location, offset, length string
}

var (
	errWire   = errors.New("its bytes are no protocol buffer")
	errNoONNX = errors.New("it has no graph")
	errDeep   = errors.New("its graphs are nested too deeply")
)

// maxDepth bounds subgraphs within subgraphs (and types within types); the protocol buffer library of ONNX Runtime
// has a similar bound.
const maxDepth = 32

// readGraph decodes the bytes of a model file.
func readGraph(data []byte) (*graph, error) {
	g := &graph{}
	found := false
	err := fields(data, func(num int, _ uint64, b []byte) error {
		switch num {
		case 7: // graph
			found = true
			return g.readMain(b)
		case 25: // functions: only their nodes matter
			return fields(b, func(num int, _ uint64, b []byte) error {
				if num == 7 {
					return g.readNode(b, 0)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && !found {
		err = errNoONNX
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// readMain reads the model's own graph: unlike a subgraph, it has inputs and outputs.
func (g *graph) readMain(b []byte) error {
	initialized := map[string]bool{} // before IR version 4 weights were listed as inputs too
	err := fields(b, func(num int, _ uint64, b []byte) error {
		switch num {
		case 5:
			return fields(b, func(num int, _ uint64, b []byte) error {
				if num == 8 {
					initialized[string(b)] = true
				}
				return nil
			})
		case 11, 12:
			t, err := readValueInfo(b)
			if err != nil {
				return err
			}
			if num == 11 {
				g.inputs = append(g.inputs, t)
			} else {
				g.outputs = append(g.outputs, t)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.inputs = slices.DeleteFunc(g.inputs, func(t Tensor) bool { return initialized[t.Name] })
	return g.readSubgraph(b, 0)
}

func (g *graph) readSubgraph(b []byte, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	return fields(b, func(num int, _ uint64, b []byte) error {
		switch num {
		case 1:
			return g.readNode(b, depth)
		case 5:
			return g.readTensor(b)
		case 15:
			return g.readSparse(b)
		}
		return nil
	})
}

func (g *graph) readNode(b []byte, depth int) error {
	return fields(b, func(num int, _ uint64, b []byte) error {
		if num != 5 {
			return nil
		}
		var name string
		var classes []string
		err := fields(b, func(num int, v uint64, b []byte) error {
			switch num {
			case 1:
				name = string(b)
			case 5, 10:
				return g.readTensor(b)
			case 6, 11:
				return g.readSubgraph(b, depth+1)
			case 22, 23:
				return g.readSparse(b)
			case 8: // integers, packed or one by one
				if name != "classlabels_int64s" && name != "classlabels_ints" {
					return nil
				}
				if b == nil {
					classes = append(classes, fmt.Sprint(int64(v)))
				}
				for len(b) > 0 {
					v, n := binary.Uvarint(b)
					if n <= 0 {
						return errWire
					}
					classes, b = append(classes, fmt.Sprint(int64(v))), b[n:]
				}
			case 9:
				if name == "classlabels_strings" {
					classes = append(classes, string(b))
				}
			}
			return nil
		})
		if len(classes) > 0 {
			g.classLists = append(g.classLists, classes)
		}
		return err
	})
}

func (g *graph) readSparse(b []byte) error {
	return fields(b, func(num int, _ uint64, b []byte) error {
		if num == 1 || num == 2 {
			return g.readTensor(b)
		}
		return nil
	})
}

func (g *graph) readTensor(b []byte) error {
	var name string
	var found []externalData
	err := fields(b, func(num int, _ uint64, b []byte) error {
		switch num {
		case 8:
			name = string(b)
		case 13:
			if len(found) == 0 {
				found = append(found, externalData{})
			}
			key, value, err := readEntry(b)
			at := &found[len(found)-1]
			switch key {
			case "location":
				if at.location != "" { // a second one: which of them counts is not ours to guess, so both are looked at
					found = append(found, externalData{})
					at = &found[len(found)-1]
				}
				at.location = value
			case "offset":
				at.offset = value
			case "length":
				at.length = value
			}
			return err
		}
		return nil
	})
	for _, e := range found {
		e.tensor = name
		g.external = append(g.external, e)
	}
	return err
}

func readEntry(b []byte) (key, value string, err error) {
	err = fields(b, func(num int, _ uint64, b []byte) error {
		switch num {
		case 1:
			key = string(b)
		case 2:
			value = string(b)
		}
		return nil
	})
	return key, value, err
}

func readValueInfo(b []byte) (Tensor, error) {
	var t Tensor
	err := fields(b, func(num int, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			t.Name = string(b)
		case 2:
			t.Datatype, t.Shape, err = readType(b, 0)
		}
		return err
	})
	return t, err
}

// readType returns a datatype of the Open Inference Protocol, or, for what is no tensor, what it is in words.
func readType(b []byte, depth int) (datatype string, shape []int64, err error) {
	if depth > maxDepth {
		return "", nil, errDeep
	}
	datatype = "unknown"
	err = fields(b, func(num int, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			datatype, shape, err = readTensorType(b)
		case 4:
			datatype, err = readElement(b, 1, "sequence of ", depth)
		case 5:
			datatype, err = readElement(b, 2, "map to ", depth)
		case 8:
			datatype = "sparse tensor"
		case 9:
			datatype, err = readElement(b, 1, "optional ", depth)
		}
		return err
	})
	return datatype, shape, err
}

// readElement words a type made of another one, which is in field elem.
func readElement(b []byte, elem int, prefix string, depth int) (datatype string, err error) {
	datatype = prefix + "unknown"
	err = fields(b, func(num int, _ uint64, b []byte) error {
		if num != elem {
			return nil
		}
		inner, _, err := readType(b, depth+1)
		datatype = prefix + inner
		return err
	})
	return datatype, err
}

func readTensorType(b []byte) (datatype string, shape []int64, err error) {
	datatype = "unknown"
	err = fields(b, func(num int, v uint64, b []byte) error {
		switch num {
		case 1:
			datatype = datatypeName(v)
		case 2:
			shape = []int64{}
			return fields(b, func(num int, _ uint64, b []byte) error {
				if num != 1 {
					return nil
				}
				size := int64(-1)
				err := fields(b, func(num int, v uint64, _ []byte) error {
					if num == 1 && int64(v) > 0 {
						size = int64(v)
					}
					return nil
				})
				shape = append(shape, size)
				return err
			})
		}
		return nil
	})
	return datatype, shape, err
}

func datatypeName(elem uint64) string {
	names := [...]string{1: "FP32", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64", 8: "BYTES",
		9: "BOOL", 10: "FP16", 11: "FP64", 12: "UINT32", 13: "UINT64", 14: "COMPLEX64", 15: "COMPLEX128", 16: "BF16"}
	if elem > 0 && elem < uint64(len(names)) {
		return names[elem]
	}
	return fmt.Sprintf("type %d", elem)
}

// fields calls f for each field of a protocol buffer message: v has the value of a number, b the bytes of anything that
// has a length (never nil then).
func fields(data []byte, f func(num int, v uint64, b []byte) error) error {
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errWire
		}
		data = data[n:]
		var v uint64
		var b []byte
		switch tag & 7 {
		case 0:
			if v, n = binary.Uvarint(data); n <= 0 {
				return errWire
			}
		case 1:
			n = 8
		case 2:
			size, m := binary.Uvarint(data)
			if m <= 0 || size > uint64(len(data)-m) {
				return errWire
			}
			n = m + int(size)
			b = data[m:n:n]
		case 5:
			n = 4
		default: // groups are no part of ONNX
			return errWire
		}
		if n > len(data) {
			return errWire
		}
		data = data[n:]
		if err := f(int(tag>>3), v, b); err != nil {
			return err
		}
	}
	return nil
}
