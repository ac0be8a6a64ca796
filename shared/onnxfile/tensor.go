package onnxfile

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Tensor is an input or an output.
type Tensor struct {
	Name string
	// Type is the element type, None for what is not a tensor.
	Type Type
	// Other describes what is not a tensor ("sequence of map to FP32"), or is
	// "unknown"; empty for a tensor.
	Other string
	// Shape has -1 for a dimension of any size; nil if the model does not say.
	Shape []int64
}

// Datatype returns the element type in the words of the Open Inference Protocol
// (FP32, INT64, BYTES, ...), or the description of what is not a tensor.
func (t Tensor) Datatype() string {
	if t.Other != "" {
		return t.Other
	}
	return t.Type.Datatype()
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

var typeNames = [...]string{"not a tensor", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool",
	"float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16"}

// String is the type's name in ONNX.
func (t Type) String() string {
	if t >= 0 && int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", int(t))
}

var datatypes = [...]string{"unknown", "FP32", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BYTES", "BOOL", "FP16", "FP64",
	"UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BF16"}

// Datatype is the type's name in the Open Inference Protocol.
func (t Type) Datatype() string {
	if t >= 0 && int(t) < len(datatypes) {
		return datatypes[t]
	}
	return fmt.Sprintf("type %d", int(t))
}

func readValueInfo(b []byte) (Tensor, error) {
	t := Tensor{Other: unknown}
	err := fields(b, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			t.Name = string(b)
		case 2:
			name := t.Name
			t, err = readType(b, 0)
			t.Name = name
		}
		return err
	})
	return t, err
}

// unknown is what a model does not say.
const unknown = "unknown"

// readType reads a tensor's type and shape or, for what is not a tensor, a
// description.
func readType(b []byte, depth int) (Tensor, error) {
	if depth > maxDepth {
		return Tensor{}, errDeep
	}
	t := Tensor{Other: unknown}
	err := fields(b, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			t, err = readTensorType(b)
		case 4:
			t, err = readElement(b, 1, "sequence of ", depth)
		case 5:
			t, err = readElement(b, 2, "map to ", depth)
		case 8:
			t = Tensor{Other: "sparse tensor"}
		case 9:
			t, err = readElement(b, 1, "optional ", depth)
		}
		return err
	})
	return t, err
}

// readElement describes a type made of another one, which is in field elem.
func readElement(b []byte, elem protowire.Number, prefix string, depth int) (Tensor, error) {
	t := Tensor{Other: prefix + unknown}
	err := fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		if num != elem {
			return nil
		}
		inner, err := readType(b, depth+1)
		t.Other = prefix + inner.Datatype()
		return err
	})
	return t, err
}

func readTensorType(b []byte) (Tensor, error) {
	t := Tensor{Other: unknown}
	err := fields(b, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			if t.Type = Type(min(v, 1<<16)); t.Type != None {
				t.Other = ""
			}
		case 2:
			t.Shape = []int64{}
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
				if num != 1 {
					return nil
				}
				size := int64(-1)
				err := fields(b, func(num protowire.Number, v uint64, _ []byte) error {
					if num == 1 && int64(v) > 0 {
						size = int64(v)
					}
					return nil
				})
				t.Shape = append(t.Shape, size)
				return err
			})
		}
		return nil
	})
	return t, err
}
