package inference

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// writeRPC writes the answer as a message of gRPC: a ModelInferResponse after
// its length.
func (q *request) writeRPC(s *served, v *version, route string) {
	b := append(q.out[:0], make([]byte, rpcPrefix)...)
	b = appendText(b, answerModel, s.name)
	b = appendText(b, answerVersion, v.text)
	b = appendText(b, answerID, q.id)
	for _, p := range q.message.parameters {
		if key := keyOf(p); string(key) != "route" && string(key) != "binary_data_output" {
			b = protowire.AppendTag(b, answerParameters, protowire.BytesType)
			b = protowire.AppendBytes(b, p)
		}
	}
	b, entry := beginField(b, answerParameters)
	b = appendText(b, entryKey, "route")
	b, value := beginField(b, entryValue)
	b = appendText(b, parameterText, route)
	b = endField(endField(b, value), entry)
	for _, a := range q.wanted(v) {
		b = q.appendTensor(b, v, &v.outputs[a.at])
	}
	if q.binary {
		for _, a := range q.wanted(v) {
			o := &v.outputs[a.at]
			b = protowire.AppendTag(b, answerRaw, protowire.BytesType)
			b = protowire.AppendVarint(b, uint64(q.rawSize(v, o)))
			b = q.appendRaw(b, v, o)
		}
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-rpcPrefix))
	q.out = b
}

func (q *request) appendTensor(b []byte, v *version, o *tensorInfo) []byte {
	b, output := beginField(b, answerOutputs)
	b = appendText(b, tensorName, o.Name)
	b = appendText(b, tensorDatatype, o.Datatype)
	b, shape := beginField(b, tensorShape)
	b = protowire.AppendVarint(b, uint64(q.rows))
	if len(o.Shape) == 2 {
		b = protowire.AppendVarint(b, uint64(o.Shape[1]))
	}
	b = endField(b, shape)
	if !q.binary {
		b = q.appendContents(b, v, o)
	}
	return endField(b, output)
}

func (q *request) appendContents(b []byte, v *version, o *tensorInfo) []byte {
	b, contents := beginField(b, tensorContents)
	switch {
	case o.Name == outputLabel:
		for _, i := range q.labels {
			b = protowire.AppendTag(b, contentsBytes, protowire.BytesType)
			b = protowire.AppendString(b, v.contract.Classes[i])
		}
	case v.bits == 64:
		var values int
		b, values = beginField(b, contentsFP64)
		for _, x := range q.scores.Values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		b = endField(b, values)
	default:
		var values int
		b, values = beginField(b, contentsFP32)
		for _, x := range q.scores.Values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		}
		b = endField(b, values)
	}
	return endField(b, contents)
}
