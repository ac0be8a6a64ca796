package codec

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// writeMessage writes the answer as a message of gRPC: a ModelInferResponse after
// its length.
func (q *Request) writeMessage(route string) {
	b := append(q.Out[:0], make([]byte, FramePrefix)...)
	b = appendText(b, answerModel, q.schema.Model)
	b = appendText(b, answerVersion, q.schema.Version)
	b = appendText(b, answerID, q.ID)
	for _, p := range q.Message.parameters {
		if key := keyOf(p); string(key) != "route" && string(key) != "errors" && string(key) != "binary_data_output" {
			b = protowire.AppendTag(b, answerParameters, protowire.BytesType)
			b = protowire.AppendBytes(b, p)
		}
	}
	b = appendParameter(b, "route", route)
	if len(q.Undefined) > 0 {
		b = appendParameter(b, "errors", q.UndefinedText())
	}
	for _, a := range q.wanted() {
		b = q.appendTensor(b, &q.schema.Outputs[a.at])
	}
	if q.binary {
		for _, a := range q.wanted() {
			o := &q.schema.Outputs[a.at]
			b = protowire.AppendTag(b, answerRaw, protowire.BytesType)
			b = protowire.AppendVarint(b, uint64(q.rawSize(o)))
			b = q.appendRaw(b, o)
		}
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-FramePrefix))
	q.Out = b
}

// appendParameter appends a parameter of text.
func appendParameter(b []byte, name, text string) []byte {
	b, entry := beginField(b, answerParameters)
	b = appendText(b, entryKey, name)
	b, value := beginField(b, entryValue)
	b = appendText(b, parameterText, text)
	return endField(endField(b, value), entry)
}

func (q *Request) appendTensor(b []byte, o *Tensor) []byte {
	b, output := beginField(b, answerOutputs)
	b = appendText(b, tensorName, o.Name)
	b = appendText(b, tensorDatatype, o.Datatype)
	b, shape := beginField(b, tensorShape)
	b = protowire.AppendVarint(b, uint64(q.Rows))
	if len(o.Shape) == 2 {
		b = protowire.AppendVarint(b, uint64(o.Shape[1]))
	}
	b = endField(b, shape)
	if !q.binary {
		b = q.appendContents(b, o)
	}
	return endField(b, output)
}

func (q *Request) appendContents(b []byte, o *Tensor) []byte {
	b, contents := beginField(b, tensorContents)
	switch {
	case o.Name == outputLabel:
		for _, i := range q.Labels {
			b = protowire.AppendTag(b, contentsBytes, protowire.BytesType)
			b = protowire.AppendString(b, q.label(i))
		}
	case q.schema.bits == 64:
		var values int
		b, values = beginField(b, contentsFP64)
		for _, x := range q.Scores.Values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		b = endField(b, values)
	default:
		var values int
		b, values = beginField(b, contentsFP32)
		for _, x := range q.Scores.Values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		}
		b = endField(b, values)
	}
	return endField(b, contents)
}
