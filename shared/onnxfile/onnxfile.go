// Package onnxfile reads what an ONNX file says of itself: what goes in and what
// comes out, the files beside it that hold weights, and the classes built into
// its classifiers.
//
// It reads the protocol buffer on the wire and skips the weights, without cgo
// and without ONNX Runtime. Package onnx judges a file by it before the runtime
// sees the file, and the train launcher refuses by it what a trainer should not
// have left, so that both read a file alike.
package onnxfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// File is what a model file says of itself.
type File struct {
	Inputs, Outputs []Tensor
	// External are the tensors whose bytes are in other files.
	External []External
	// ClassLists are the classes that its classifier nodes have built in, in
	// their order.
	ClassLists [][]string
	// ZipMaps are those whose maps the file gives as outputs. Outputs has tensors
	// in their place: see Runnable.
	ZipMaps []ZipMap
}

// Classes returns the classes of the model's answers in the order of their
// probabilities, nil if the file does not say: those of a ZipMap, else those
// that all its classifier nodes with as many classes as the output agree on.
func (f *File) Classes() []string {
	var lists [][]string
	for _, z := range f.ZipMaps {
		lists = append(lists, z.Classes)
	}
	if lists == nil {
		widths := f.widths()
		lists = slices.DeleteFunc(slices.Clone(f.ClassLists), func(classes []string) bool {
			return len(widths) > 0 && !slices.Contains(widths, int64(len(classes)))
		})
	}
	if len(lists) == 0 || slices.ContainsFunc(lists, func(other []string) bool { return !slices.Equal(other, lists[0]) }) {
		return nil
	}
	return lists[0]
}

// widths returns how many columns the outputs have that may be probabilities.
func (f *File) widths() (all []int64) {
	for _, t := range f.Outputs {
		if (t.Type == Float || t.Type == Double) && len(t.Shape) == 2 && t.Shape[1] > 1 {
			all = append(all, t.Shape[1])
		}
	}
	return all
}

// External says where the bytes of a tensor are. Offset and Length are as
// written in the file, and may be empty.
type External struct {
	Tensor, Location, Offset, Length string
}

// DataFiles returns the files in which the model keeps weights, as it names
// them, sorted.
func (f *File) DataFiles() []string {
	var names []string
	for _, e := range f.External {
		names = append(names, e.Location)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ErrNotONNX says that the bytes are not an ONNX model.
var ErrNotONNX = errors.New("it is not an ONNX model")

var (
	errWire    = fmt.Errorf("%w: its bytes are not a protocol buffer", ErrNotONNX)
	errNoGraph = fmt.Errorf("%w: it has no graph", ErrNotONNX)
	errDeep    = fmt.Errorf("%w: its graphs are nested too deeply", ErrNotONNX)
)

// ReadFile reads the model at path.
func ReadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadOpen(f)
}

// ReadOpen reads the model in f, a regular file, wherever f stands.
func ReadOpen(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if size := info.Size(); size == 0 || size != int64(int(size)) {
		return nil, ErrNotONNX
	}
	// Mapped, since most of a model is weights, which are skipped.
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, &os.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	defer func() { _ = syscall.Munmap(data) }()
	return Read(data)
}

// Read reads the model that data is.
func Read(data []byte) (*File, error) {
	f := &File{}
	found := false
	err := fields(data, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 7: // graph
			found = true
			return f.readMain(b)
		case 25: // functions: only their nodes matter
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
				if num == 7 {
					return f.readNode(b, 0)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && !found {
		err = errNoGraph
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// maxDepth bounds subgraphs within subgraphs (and types within types); the
// protocol buffer library of ONNX Runtime has a similar bound.
const maxDepth = 32

// readMain reads the model's own graph: unlike a subgraph, it has inputs and outputs.
func (f *File) readMain(b []byte) error {
	initialized := map[string]bool{} // before IR version 4 weights were listed as inputs too
	err := fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 5:
			return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
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
				f.Inputs = append(f.Inputs, t)
			} else {
				f.Outputs = append(f.Outputs, t)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.Inputs = slices.DeleteFunc(f.Inputs, func(t Tensor) bool { return initialized[t.Name] })
	if err := f.readZipMaps(b); err != nil {
		return err
	}
	return f.readSubgraph(b, 0)
}

func (f *File) readSubgraph(b []byte, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1:
			return f.readNode(b, depth)
		case 5:
			return f.readTensor(b)
		case 15:
			return f.readSparse(b)
		}
		return nil
	})
}

func (f *File) readNode(b []byte, depth int) error {
	return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		if num != 5 {
			return nil
		}
		classes, err := readClasses(b)
		if err != nil {
			return err
		}
		if len(classes) > 0 {
			f.ClassLists = append(f.ClassLists, classes)
		}
		return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
			switch num {
			case 5, 10:
				return f.readTensor(b)
			case 6, 11:
				return f.readSubgraph(b, depth+1)
			case 22, 23:
				return f.readSparse(b)
			}
			return nil
		})
	})
}

// readClasses returns the classes that an attribute of a node lists, nil if it
// is another attribute.
func readClasses(b []byte) ([]string, error) {
	var name string
	var classes []string
	err := fields(b, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			name = string(b)
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
	return classes, err
}

func (f *File) readSparse(b []byte) error {
	return fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		if num == 1 || num == 2 {
			return f.readTensor(b)
		}
		return nil
	})
}

func (f *File) readTensor(b []byte) error {
	var name string
	var found []External
	err := fields(b, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 8:
			name = string(b)
		case 13:
			if len(found) == 0 {
				found = append(found, External{})
			}
			key, value, err := readEntry(b)
			at := &found[len(found)-1]
			switch key {
			case "location":
				if at.Location != "" { // a second one: which of them counts is not ours to guess, so both are looked at
					found = append(found, External{})
					at = &found[len(found)-1]
				}
				at.Location = value
			case "offset":
				at.Offset = value
			case "length":
				at.Length = value
			}
			return err
		}
		return nil
	})
	for _, e := range found {
		e.Tensor = name
		f.External = append(f.External, e)
	}
	return err
}

func readEntry(b []byte) (key, value string, err error) {
	err = fields(b, func(num protowire.Number, _ uint64, b []byte) error {
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

// fields calls f for each field of a message: v is the value of a number, b
// the bytes of what has a length.
func fields(data []byte, f func(num protowire.Number, v uint64, b []byte) error) error {
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return errWire
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
		default: // ONNX has no groups
			n = -1
		}
		if n < 0 {
			return errWire
		}
		data = data[n:]
		if err := f(num, v, b); err != nil {
			return err
		}
	}
	return nil
}
