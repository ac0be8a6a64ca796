package inference

import (
	"maps"

	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
)

// readRPC reads a request that came by gRPC.
func (q *request) readRPC(s *served, v *version, maxRows int) error {
	q.expect(v)
	for _, o := range q.rpc.GetOutputs() {
		at, err := v.output([]byte(o.GetName()))
		if err == nil {
			err = q.ask(v, asked{at: at})
		}
		if err != nil {
			return err
		}
	}
	inputs, raw := q.rpc.GetInputs(), q.rpc.GetRawInputContents()
	if q.binary = len(raw) > 0; q.binary && len(raw) != len(inputs) {
		return invalid("there are %d inputs and %d raw_input_contents; there must be one for each", len(inputs), len(raw))
	}
	if len(inputs) == 0 {
		return invalid("inputs is missing: a list with one tensor for each column: %s", v.featureList())
	}
	for i, in := range inputs {
		t := &q.tensor
		if err := t.describe(in); err != nil {
			return err
		}
		if q.binary && proto.Size(in.GetContents()) > 0 { // MLServer sends empty ones
			return invalid("input %s has contents, and the request has raw_input_contents; it must have one of them", t.name)
		}
		to, k, err := q.place(t, s, v, maxRows, q.binary)
		switch {
		case err != nil:
			return err
		case to == nil:
		case q.binary:
			err = t.readRaw(to, raw[i])
		default:
			err = t.readContents(to, k, in.GetContents())
		}
		if err != nil {
			return err
		}
	}
	return q.check(v, maxRows)
}

func (t *tensor) describe(in *oip.ModelInferRequest_InferInputTensor) error {
	*t = tensor{name: append(t.name[:0:0], in.GetName()...), datatype: append(t.datatype[:0:0], in.GetDatatype()...), rank: len(in.GetShape())}
	switch {
	case len(t.name) == 0:
		return invalid("an input has no name")
	case t.rank > len(t.shape):
		return invalid("input %s: its shape has more than %d dimensions", t.name, len(t.shape))
	}
	for i, n := range in.GetShape() {
		if n < 0 {
			return invalid("input %s: a dimension of its shape is no whole number from 0", t.name)
		}
		t.shape[i] = n
	}
	return nil
}

// readContents deals the values of a tensor out to the columns it fills, from
// the field of its datatype.
func (t *tensor) readContents(to []column, k kind, c *oip.InferTensorContents) error {
	switch k.datatype {
	case "BOOL":
		return deal(t, to, "bool_contents", c.GetBoolContents(), (*column).putBool)
	case "INT8", "INT16", "INT32":
		return deal(t, to, "int_contents", c.GetIntContents(), func(c *column, i int32) error {
			if float64(i) < k.low || float64(i) > k.top {
				return c.isNot(i, k.datatype)
			}
			return c.putInt(int64(i))
		})
	case "INT64":
		return deal(t, to, "int64_contents", c.GetInt64Contents(), (*column).putInt)
	case "UINT8", "UINT16", "UINT32":
		return deal(t, to, "uint_contents", c.GetUintContents(), func(c *column, u uint32) error {
			if float64(u) > k.top {
				return c.isNot(u, k.datatype)
			}
			return c.putInt(int64(u))
		})
	case "UINT64":
		return deal(t, to, "uint64_contents", c.GetUint64Contents(), (*column).putUint)
	case "FP32":
		return deal(t, to, "fp32_contents", c.GetFp32Contents(), func(c *column, x float32) error { return c.putFloat(float64(x)) })
	case "FP64":
		return deal(t, to, "fp64_contents", c.GetFp64Contents(), (*column).putFloat)
	}
	return deal(t, to, "bytes_contents", c.GetBytesContents(), (*column).putText)
}

func deal[T any](t *tensor, to []column, field string, values []T, put func(*column, T) error) error {
	if n := int(t.shape[0]) * len(to); len(values) != n {
		return invalid("input %s has %d values in %s, the field of datatype %s, and its shape says %d", t.name, len(values), field, t.datatype, n)
	}
	for i, value := range values {
		if err := put(&to[i%len(to)], value); err != nil {
			return err
		}
	}
	return nil
}

// answerRPC makes the answer, which shares nothing with the request's memory.
func (q *request) answerRPC(s *served, v *version, route string) {
	parameters := map[string]*oip.InferParameter{}
	maps.Copy(parameters, q.rpc.GetParameters())
	delete(parameters, "binary_data_output")
	parameters["route"] = &oip.InferParameter{ParameterChoice: &oip.InferParameter_StringParam{StringParam: route}}
	r := &oip.ModelInferResponse{ModelName: s.name, ModelVersion: v.text, Id: string(q.id), Parameters: parameters}
	for _, a := range q.wanted(v) {
		o := &v.outputs[a.at]
		out := &oip.ModelInferResponse_InferOutputTensor{Name: o.Name, Datatype: o.Datatype, Shape: []int64{int64(q.rows)}}
		if len(o.Shape) == 2 {
			out.Shape = append(out.Shape, o.Shape[1])
		}
		if q.binary {
			r.RawOutputContents = append(r.RawOutputContents, q.appendRaw(make([]byte, 0, q.rawSize(v, o)), v, o))
		} else {
			out.Contents = q.contents(v, o)
		}
		r.Outputs = append(r.Outputs, out)
	}
	q.reply = r
}

func (q *request) contents(v *version, o *tensorInfo) *oip.InferTensorContents {
	c := &oip.InferTensorContents{}
	switch {
	case o.Name == outputLabel:
		for _, i := range q.labels {
			c.BytesContents = append(c.BytesContents, []byte(v.contract.Classes[i]))
		}
	case v.bits == 64:
		c.Fp64Contents = append(c.Fp64Contents, q.scores.Values...)
	default:
		for _, x := range q.scores.Values {
			c.Fp32Contents = append(c.Fp32Contents, float32(x))
		}
	}
	return c
}
