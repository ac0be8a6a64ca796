package codec

import (
	"encoding/binary"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields of the protocol's messages; see open_inference.proto.
const (
	requestModel, requestVersion, requestID  = 1, 2, 3
	requestParameters, requestInputs         = 4, 5
	requestOutputs, requestRaw               = 6, 7
	answerModel, answerVersion, answerID     = 1, 2, 3
	answerParameters, answerOutputs          = 4, 5
	answerRaw                                = 6
	tensorName, tensorDatatype, tensorShape  = 1, 2, 3
	tensorParameters, tensorContents         = 4, 5
	askedParameters                          = 2
	contentsBool, contentsInt, contentsInt64 = 1, 2, 3
	contentsUint, contentsUint64             = 4, 5
	contentsFP32, contentsFP64               = 6, 7
	contentsBytes                            = 8
	entryKey, entryValue                     = 1, 2
	parameterText                            = 3
)

// wire is what is left of a message of protocol buffers.
type wire []byte

// field is one field of a message: a number, or bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	n      uint64
	bytes  []byte
}

var errWire = Invalid("the message is cut off or is not a ModelInferRequest")

// next takes the next field.
func (w *wire) next(f *field) error {
	number, kind, n := protowire.ConsumeTag(*w)
	if n < 0 {
		return errWire
	}
	f.number, f.kind = number, kind
	rest := (*w)[n:]
	switch kind {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(rest)
	case protowire.VarintType:
		f.n, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(rest)
		f.n = uint64(v)
	case protowire.Fixed64Type:
		f.n, n = protowire.ConsumeFixed64(rest)
	default:
		n = protowire.ConsumeFieldValue(number, kind, rest)
	}
	if n < 0 {
		return errWire
	}
	*w = rest[n:]
	return nil
}

// is reports whether the field has the number and holds bytes.
func (f *field) is(number protowire.Number) bool {
	return f.number == number && f.kind == protowire.BytesType
}

// text returns the bytes of a string.
func (f *field) text(what string) ([]byte, error) {
	if !utf8.Valid(f.bytes) {
		return nil, Invalid("%s is not UTF-8", what)
	}
	return f.bytes, nil
}

// integers calls each with the values of a repeated number, however it was
// packed.
func (f *field) integers(each func(uint64) error) error {
	if f.kind == protowire.VarintType {
		return each(f.n)
	}
	for b := f.bytes; len(b) > 0; {
		v, n := uint64(b[0]), 1
		if v >= 0x80 {
			if v, n = protowire.ConsumeVarint(b); n < 0 {
				return errWire
			}
		}
		if err := each(v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// fixed calls each with the values of a repeated float or double.
func (f *field) fixed(kind protowire.Type, each func(uint64) error) error {
	size := 4
	if kind == protowire.Fixed64Type {
		size = 8
	}
	if f.kind == kind {
		return each(f.n)
	}
	if len(f.bytes)%size != 0 {
		return errWire
	}
	for b := f.bytes; len(b) > 0; b = b[size:] {
		v := uint64(binary.LittleEndian.Uint32(b))
		if size == 8 {
			v = binary.LittleEndian.Uint64(b)
		}
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}

// repeats reports whether the field holds values of a repeated number: packed,
// or one.
func (f *field) repeats(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && (f.kind == kind || f.kind == protowire.BytesType)
}

// appendText appends a field of text unless it is empty.
func appendText[T string | []byte](b []byte, number protowire.Number, text T) []byte {
	if len(text) == 0 {
		return b
	}
	b = protowire.AppendTag(b, number, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(text)))
	return append(b, text...)
}

// begin begins a field whose size is known when end is called with what it
// gave.
func beginField(b []byte, number protowire.Number) ([]byte, int) {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return b, len(b)
}

// endField puts the size before what was appended since.
func endField(b []byte, from int) []byte {
	size := uint64(len(b) - from)
	n := protowire.SizeVarint(size)
	b = append(b, make([]byte, n)...)
	copy(b[from+n:], b[from:])
	protowire.AppendVarint(b[:from], size)
	return b
}
