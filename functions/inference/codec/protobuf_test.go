package codec

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/onnx"
)

// FuzzReadProtobuf compares the messages that are read on the wire with the
// generated code: what that refuses may be refused or not, what it takes is
// read to the same columns, or refused for the same reason.
func FuzzReadProtobuf(f *testing.F) {
	sc := sketch()
	seed := &oip.ModelInferRequest{ModelName: "m", ModelVersion: "1", Id: "id", Parameters: map[string]*oip.InferParameter{
		"tenant": {ParameterChoice: &oip.InferParameter_StringParam{StringParam: "a"}},
	}}
	for _, in := range []*oip.ModelInferRequest_InferInputTensor{
		{Name: "s", Datatype: "BYTES", Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("a"), []byte("ü")}}},
		{Name: "i", Datatype: "INT8", Contents: &oip.InferTensorContents{IntContents: []int32{1, -2}}},
		{Name: "f", Datatype: "FP32", Contents: &oip.InferTensorContents{Fp32Contents: []float32{1, 2}}},
		{Name: "b", Datatype: "BOOL", Contents: &oip.InferTensorContents{BoolContents: []bool{true, false}}},
		{Name: "t", Datatype: "INT64", Contents: &oip.InferTensorContents{Int64Contents: []int64{1, 2}}},
	} {
		in.Shape = []int64{2, 1}
		seed.Inputs = append(seed.Inputs, in)
	}
	f.Add(wireOf(f, seed))
	for _, change := range []func(*oip.ModelInferRequest_InferInputTensor){
		func(in *oip.ModelInferRequest_InferInputTensor) {
			in.Datatype, in.Contents = "FP64", &oip.InferTensorContents{Fp64Contents: []float64{1, math.NaN()}}
		},
		func(in *oip.ModelInferRequest_InferInputTensor) {
			in.Datatype, in.Contents = "UINT64", &oip.InferTensorContents{Uint64Contents: []uint64{1, 1 << 63}}
		},
		func(in *oip.ModelInferRequest_InferInputTensor) {
			in.Datatype, in.Contents = "UINT16", &oip.InferTensorContents{UintContents: []uint32{1, 1 << 31}}
		},
	} {
		changed := proto.CloneOf(seed)
		change(changed.GetInputs()[2])
		f.Add(wireOf(f, changed))
	}
	read := func(q *Request, b []byte) error {
		q.Reset()
		q.Body = append(q.Body, b...)
		if err := q.ReadMessage(); err != nil {
			return err
		}
		return q.Read(sc, Call{Protocol: GRPC}, limits)
	}
	q := &Request{}
	must(f, read(q, wireOf(f, seed)))
	checkDecoded(f, q)
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &oip.ModelInferRequest{}
		known := proto.Unmarshal(b, in) == nil
		err := read(q, b)
		if err == nil {
			checkDecoded(t, q)
		}
		if !known {
			return
		}
		other := &Request{}
		if again := read(other, wireOf(t, in)); (again == nil) != (err == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("%v\nas the generated code writes it: %v", err, again)
		}
		if err != nil {
			return
		}
		if string(q.ID) != in.GetId() && in.GetId() != "" || string(q.Message.Model) != in.GetModelName() || string(q.Message.Version) != in.GetModelVersion() {
			t.Fatalf("%s %s %s of %v", q.ID, q.Message.Model, q.Message.Version, in)
		}
		for i := range q.columns {
			if got, want := fmt.Sprint(q.columns[i].Column), fmt.Sprint(other.columns[i].Column); got != want {
				t.Fatalf("%s\nas the generated code writes it: %s", got, want)
			}
		}
		if len(in.GetRawInputContents()) == 0 {
			holdsContents(t, q, in)
		}
	})
}

func wireOf(t testing.TB, in *oip.ModelInferRequest) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
	must(t, err)
	return b
}

// holdsContents compares the columns with what the generated code has read.
func holdsContents(t *testing.T, q *Request, in *oip.ModelInferRequest) {
	t.Helper()
	for _, tensor := range in.GetInputs() {
		i := slices.IndexFunc(q.columns, func(c column) bool { return c.Name == tensor.GetName() })
		if i < 0 {
			continue
		}
		c, from := &q.columns[i], tensor.GetContents()
		for row := range c.rows {
			var want any
			switch tensor.GetDatatype() {
			case "BOOL":
				want = from.GetBoolContents()[row]
			case "INT8", "INT16", "INT32":
				want = from.GetIntContents()[row]
			case "INT64":
				want = from.GetInt64Contents()[row]
			case "UINT8", "UINT16", "UINT32":
				want = from.GetUintContents()[row]
			case "UINT64":
				want = from.GetUint64Contents()[row]
			case "FP32":
				want = float64(from.GetFp32Contents()[row])
			case "FP64":
				want = from.GetFp64Contents()[row]
			default:
				want = string(from.GetBytesContents()[row])
			}
			if got := valueOf(c, row); !sameValue(c, got, want) {
				t.Fatalf("column %s, row %d: %v, want %v", c.Name, row, got, want)
			}
		}
	}
}

func valueOf(c *column, row int) any {
	switch c.feature.Type {
	case onnx.String:
		return c.Strings[row]
	case onnx.Float:
		return c.Floats[row]
	case onnx.Bool:
		return c.Bools[row]
	}
	return c.Ints[row]
}

// sameValue compares a column's value with the tensor's, as which it may have
// been of another type.
func sameValue(c *column, got, want any) bool {
	if text, ok := want.(string); ok && c.feature.Type == onnx.Timestamp {
		at, err := time.Parse(time.RFC3339Nano, text)
		return err == nil && got == at.UnixMicro()
	}
	number := func(v any) string {
		switch v := v.(type) {
		case bool:
			return map[bool]string{true: "1", false: "0"}[v]
		case float64:
			return big.NewFloat(0).SetFloat64(v).Text('g', 40)
		case string:
			return v
		}
		f, _, err := big.ParseFloat(fmt.Sprint(v), 10, 64, big.ToNearestEven)
		if err != nil {
			return err.Error()
		}
		return f.Text('g', 40)
	}
	if x, ok := want.(float64); ok && math.IsNaN(x) { // a missing value
		return true
	}
	if x, ok := want.(float64); ok && math.IsInf(x, 0) {
		return got == want
	}
	return number(got) == number(want)
}
