package codec

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/onnx"
)

// strict is a schema whose contract allows no missing a and c, and whose model
// takes no missing i.
func strict() *Schema {
	return NewSchema("p", "1", onnx.Contract{Task: onnx.Regression, Features: []onnx.Feature{
		{Name: "a", Type: onnx.Float, Required: true}, {Name: "b", Type: onnx.Float}, {Name: "c", Type: onnx.String, Required: true}, {Name: "i", Type: onnx.Int},
	}}, onnx.Signature{})
}

// TestMissing has requests with missing values where none is allowed: all of
// them are named, whatever the protocol.
func TestMissing(t *testing.T) {
	t.Parallel()
	const (
		a = "column a, row 1: the value is missing, and the contract allows no missing value in it (nulls: 0)"
		c = "column c, rows 0, 2: the value is missing, and the contract allows no missing value in it (nulls: 0)"
		i = "column i, row 2: the value is missing, and the model takes no missing values of type int"
	)
	for _, v := range []struct {
		name, body, want string
		call             Call
	}{
		{"V1", `{"instances":[[1,null,null,1],[null,null,"x",2],{"a":1,"b":NaN,"c":null,"i":null}]}`, a + "; " + c + "; " + i, Call{Protocol: V1}},
		{"V1 columns", `{"inputs":{"a":[1,NaN,2],"b":[null,1,2],"c":["x","y","z"],"i":[1,2,3]}}`, a, Call{Protocol: V1}},
		{"V2", `{"inputs":[{"name":"a","shape":[3],"datatype":"FP32","data":[1,null,2]},{"name":"b","shape":[3],"datatype":"FP32","data":[1,null,2]},` +
			`{"name":"c","shape":[3],"datatype":"BYTES","data":[null,"",null]},{"name":"i","shape":[3],"datatype":"INT64","data":[1,2,null]}]}`, a + "; " + c + "; " + i, Call{}},
	} {
		q := &Request{}
		load(q, []byte(v.body))
		if err := q.Read(strict(), v.call, limits); err == nil || err.Error() != v.want || StatusOf(err) != 400 {
			t.Errorf("%s: %v\nwant %s", v.name, err, v.want)
		}
	}
	in := &oip.ModelInferRequest{}
	for _, name := range []string{"a", "b"} {
		in.Inputs = append(in.Inputs, &oip.ModelInferRequest_InferInputTensor{
			Name: name, Datatype: "FP64", Shape: []int64{2}, Contents: &oip.InferTensorContents{Fp64Contents: []float64{1, math.NaN()}},
		})
	}
	in.Inputs = append(in.Inputs,
		&oip.ModelInferRequest_InferInputTensor{Name: "c", Datatype: "BYTES", Shape: []int64{2}, Contents: &oip.InferTensorContents{BytesContents: [][]byte{{}, {}}}},
		&oip.ModelInferRequest_InferInputTensor{Name: "i", Datatype: "INT64", Shape: []int64{2}, Contents: &oip.InferTensorContents{Int64Contents: []int64{1, 2}}})
	if err := readGRPC(t, strict(), in); err == nil || err.Error() != a {
		t.Errorf("gRPC: %v", err)
	}
}

// TestLacking has instances without a column: null is advised where it is
// allowed.
func TestLacking(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"instances":[{"a":1}]}`: "instance 0 lacks column b; send null for a missing value. The columns are a float",
		`{"instances":[{"b":1}]}`: "instance 0 lacks column a. The columns are a float",
	} {
		q := &Request{}
		load(q, []byte(body))
		if err := q.Read(strict(), Call{Protocol: V1}, limits); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v; want %q", body, err, want)
		}
	}
}

func TestMissingOfManyRows(t *testing.T) {
	t.Parallel()
	q := &Request{}
	load(q, []byte(`{"instances":[`+strings.TrimSuffix(strings.Repeat(`[null,1,"",1],`, 50), ",")+`]}`))
	err := q.Read(strict(), Call{Protocol: V1}, limits)
	if err == nil || !strings.HasPrefix(err.Error(), "column a, rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 40 more: ") || strings.Contains(err.Error(), "column c") {
		t.Error(err)
	}
}

func readGRPC(t *testing.T, sc *Schema, in *oip.ModelInferRequest) error {
	t.Helper()
	b, err := proto.Marshal(in)
	must(t, err)
	q := &Request{Body: b}
	must(t, q.ReadMessage())
	return q.Read(sc, Call{Protocol: GRPC}, limits)
}

// TestParameters has parameters that would change what a request means: they
// are refused, and others pass.
func TestParameters(t *testing.T) {
	t.Parallel()
	sc := NewSchema("p", "1", onnx.Contract{Task: onnx.Regression, Features: []onnx.Feature{{Name: "c", Type: onnx.String}}}, onnx.Signature{})
	body := func(request, input, output string) string {
		return `{"parameters":` + request + `,"inputs":[{"name":"c","shape":[1],"datatype":"BYTES","data":["YQ=="],"parameters":` + input +
			`}],"outputs":[{"name":"prediction","parameters":` + output + `}]}`
	}
	for text, want := range map[string]string{
		body(`{}`, `{"content_type":"base64"}`, `{}`):                 `input c: parameter content_type is "base64", which is not supported; send the values themselves`,
		body(`{"content_type":"hf_json"}`, `{}`, `{}`):                `parameter content_type is "hf_json"`,
		body(`{"sequence_id":42}`, `{}`, `{}`):                        "parameter sequence_id is not supported: each request is answered without regard to earlier ones",
		body(`{"sequence_id":"s-1"}`, `{}`, `{}`):                     "parameter sequence_id is not supported",
		body(`{}`, `{}`, `{"classification":3}`):                      "an output: parameter classification is not supported",
		body(`{}`, `{}`, `{"shared_memory_region":"x"}`):              "an output: parameter shared_memory_region is not supported",
		body(`{}`, `{"shared_memory_region":"x"}`, `{}`):              "input c: parameter shared_memory_region is not supported",
		body(`{"content_type":"np"}`, `{"content_type":"str"}`, `{}`): "",
		body(`{"sequence_id":0,"tenant":"a"}`, `null`, `null`):        "",
	} {
		q := &Request{}
		load(q, []byte(text))
		err := q.Read(sc, Call{}, limits)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || StatusOf(err) != 400) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	number := map[string]*oip.InferParameter{"sequence_id": {ParameterChoice: &oip.InferParameter_Int64Param{Int64Param: 7}}}
	base64 := map[string]*oip.InferParameter{"content_type": {ParameterChoice: &oip.InferParameter_StringParam{StringParam: "base64"}}}
	three := map[string]*oip.InferParameter{"classification": {ParameterChoice: &oip.InferParameter_Int64Param{Int64Param: 3}}}
	for want, change := range map[string]func(*oip.ModelInferRequest){
		"parameter sequence_id is not supported":      func(in *oip.ModelInferRequest) { in.Parameters = number },
		`input c: parameter content_type is "base64"`: func(in *oip.ModelInferRequest) { in.GetInputs()[0].Parameters = base64 },
		"an output: parameter classification is not supported": func(in *oip.ModelInferRequest) {
			in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "prediction", Parameters: three}}
		},
	} {
		in := &oip.ModelInferRequest{Inputs: []*oip.ModelInferRequest_InferInputTensor{{
			Name: "c", Datatype: "BYTES", Shape: []int64{1}, Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("a")}},
		}}}
		must(t, readGRPC(t, sc, in))
		change(in)
		if err := readGRPC(t, sc, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("gRPC: %v; want %q", err, want)
		}
	}
}
