package onnxfile

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Runnable returns the model to run in place of data, from which f was read, and
// whose bytes it takes over. Its outputs are those of f.Outputs: tensors in
// place of the ZipMaps. It does not declare their shapes, since ONNX Runtime
// refuses to give an output another rank than the declared one, and exporters
// declare [N] for what is [N, 1].
func (f *File) Runnable(data []byte) ([]byte, error) {
	data, err := f.withoutZipMaps(data)
	if err != nil {
		return nil, err
	}
	err = rawFields(data, func(num protowire.Number, _, b []byte) error {
		if num != 7 {
			return nil
		}
		return rawFields(b, func(num protowire.Number, _, b []byte) error {
			if num != 12 && num != 13 {
				return nil
			}
			t, err := readValueInfo(b)
			if err != nil || !slices.ContainsFunc(f.Outputs, func(out Tensor) bool { return out.Name == t.Name }) {
				return err
			}
			return hideShape(b)
		})
	})
	return data, err
}

// hideShape gives the shape in a ValueInfoProto a field number that the type of
// a tensor does not have, so that readers skip it and no byte moves.
func hideShape(info []byte) error {
	return inField(info, 2, func(typ []byte) error {
		return inField(typ, 1, func(tensor []byte) error {
			return rawFields(tensor, func(num protowire.Number, raw, _ []byte) error {
				if num == 2 {
					raw[0] ^= 1 << 3 // 3: the number is in the tag's bits 3 to 6
				}
				return nil
			})
		})
	})
}

// inField calls f with the content of each field of that number.
func inField(message []byte, field protowire.Number, f func(b []byte) error) error {
	return rawFields(message, func(num protowire.Number, _, b []byte) error {
		if num != field {
			return nil
		}
		return f(b)
	})
}
