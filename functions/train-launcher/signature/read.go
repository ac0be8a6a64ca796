package signature

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// Signature is what a model file says of itself.
type Signature struct {
	Inputs, Outputs []Tensor
	// External are the files beside the model in which it keeps weights, as it
	// names them, sorted.
	External []string
}

// Tensor is an input or an output.
type Tensor struct {
	Name string
	// Type is the element type, None for what is no tensor.
	Type Type
	// Shape has -1 for a dimension of any size; nil if the model does not say.
	Shape []int64
}

// Type is an element type, numbered as in onnx.proto.
type Type int

// The element types that features may have.
const (
	None   Type = 0
	Float  Type = 1
	Int64  Type = 7
	String Type = 8
	Bool   Type = 9
	Double Type = 11
)

var typeNames = [...]string{"no tensor", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool",
	"float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16"}

// String is the type's name in ONNX.
func (t Type) String() string {
	if t >= 0 && int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", int(t))
}

// ErrNotONNX says that the bytes are no ONNX model.
var ErrNotONNX = errors.New("it is not an ONNX model")

// ReadFile reads the signature of the model at path.
func ReadFile(path string) (Signature, error) {
	f, err := os.Open(path)
	if err != nil {
		return Signature{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Signature{}, err
	}
	if size := info.Size(); size == 0 || size != int64(int(size)) {
		return Signature{}, ErrNotONNX
	}
	// Mapped, since most of a model is weights, which are skipped.
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return Signature{}, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	defer func() { _ = syscall.Munmap(data) }()
	return Read(data)
}

// Read reads the signature of the model that data is.
func Read(data []byte) (Signature, error) {
	var s Signature
	found := false
	err := fields(data, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 7: // ModelProto.graph
			found = true
			return s.readGraph(b)
		case 25: // ModelProto.functions: their nodes may hold tensors
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
				if num == 7 {
					return s.readNode(b, 0)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: it has no graph", ErrNotONNX)
	}
	if err != nil {
		return Signature{}, err
	}
	slices.Sort(s.External)
	s.External = slices.Compact(s.External)
	return s, nil
}

// readGraph reads the model's own graph: unlike one within, it has inputs and outputs.
func (s *Signature) readGraph(b []byte) error {
	weights := map[string]bool{} // models of old list weights as inputs too
	err := fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 5: // initializer
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
				if num == 8 {
					weights[string(b)] = true
				}
				return nil
			})
		case 11, 12: // input, output
			t, err := readValueInfo(b)
			if num == 11 {
				s.Inputs = append(s.Inputs, t)
			} else {
				s.Outputs = append(s.Outputs, t)
			}
			return err
		}
		return nil
	})
	s.Inputs = slices.DeleteFunc(s.Inputs, func(t Tensor) bool { return weights[t.Name] })
	return errors.Join(err, s.readTensors(b, 0))
}

// maxDepth bounds graphs within graphs, as ONNX Runtime does.
const maxDepth = 32

// readTensors looks for weights in other files.
func (s *Signature) readTensors(graph []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: its graphs are nested too deeply", ErrNotONNX)
	}
	return fields(graph, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1: // node
			return s.readNode(b, depth)
		case 5: // initializer
			return s.readTensor(b)
		case 15: // sparse_initializer
			return s.readSparse(b)
		}
		return nil
	})
}

func (s *Signature) readNode(b []byte, depth int) error {
	return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		if num != 5 { // attribute
			return nil
		}
		return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
			switch num {
			case 5, 10: // t, tensors
				return s.readTensor(b)
			case 6, 11: // g, graphs
				return s.readTensors(b, depth+1)
			case 22, 23: // sparse_tensor, sparse_tensors
				return s.readSparse(b)
			}
			return nil
		})
	})
}

func (s *Signature) readSparse(b []byte) error {
	return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		if num == 1 || num == 2 { // values, indices
			return s.readTensor(b)
		}
		return nil
	})
}

func (s *Signature) readTensor(b []byte) error {
	return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		if num != 13 { // external_data
			return nil
		}
		var key, value string
		err := fields(b, func(num protowire.Number, _ uint64, b []byte) error {
			switch num {
			case 1:
				key = string(b)
			case 2:
				value = string(b)
			}
			return nil
		})
		if key == "location" {
			s.External = append(s.External, value)
		}
		return err
	})
}

func readValueInfo(b []byte) (t Tensor, err error) {
	err = fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1:
			t.Name = string(b)
		case 2:
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
				if num == 1 { // tensor_type
					return t.readType(b)
				}
				return nil
			})
		}
		return nil
	})
	return t, err
}

func (t *Tensor) readType(b []byte) error {
	return fields(b, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1: // elem_type
			t.Type = Type(min(v, 1<<16))
		case 2: // shape
			t.Shape = []int64{}
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
				if num != 1 { // dim
					return nil
				}
				dim := int64(-1)
				err := fields(b, func(num protowire.Number, v uint64, _ []byte) error {
					if num == 1 && int64(v) > 0 {
						dim = int64(v)
					}
					return nil
				})
				t.Shape = append(t.Shape, dim)
				return err
			})
		}
		return nil
	})
}

// fields calls f for each field of a message: v is the value of a number, b
// the bytes of what has a length.
func fields(data []byte, f func(num protowire.Number, v uint64, b []byte) error) error {
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: its bytes are no protocol buffer", ErrNotONNX)
		}
		data = data[n:]
		var v uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(data)
		case protowire.Fixed32Type, protowire.Fixed64Type:
			n = protowire.ConsumeFieldValue(num, typ, data)
		default: // groups are no part of ONNX
			n = -1
		}
		if n < 0 {
			return fmt.Errorf("%w: its bytes are no protocol buffer", ErrNotONNX)
		}
		data = data[n:]
		if err := f(num, v, b); err != nil {
			return err
		}
	}
	return nil
}
