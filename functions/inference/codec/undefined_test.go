package codec

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/onnx"
)

// TestUndefined answers rows for which the model gives no number: they have no
// label, in any protocol.
func TestUndefined(t *testing.T) {
	t.Parallel()
	sc := NewSchema("m", "1", onnx.Contract{
		Task: onnx.BinaryClassification, Classes: []string{"allow", "deny"}, Features: []onnx.Feature{{Name: "x", Type: onnx.Float}},
	}, onnx.Signature{})
	answer := func(c Call, body string) *Request {
		q := &Request{}
		load(q, []byte(body))
		must(t, q.Read(sc, c, limits))
		q.Scores = onnx.Scores{Rows: 4, Width: 2, Values: []float64{0.25, 0.75, math.NaN(), math.NaN(), 0.75, 0.25, 0.5, math.Inf(1)}}
		q.Classify()
		q.Write("champion")
		return q
	}
	const v2 = `{"inputs":[{"name":"x","shape":[4],"datatype":"FP64","data":[1,2,3,4]}],"parameters":{"errors":"mine"}}`
	q := answer(Call{}, v2)
	if !reflect.DeepEqual(q.Labels, []int{1, -1, 0, -1}) || !reflect.DeepEqual(q.Undefined, []int{1, 3}) {
		t.Errorf("labels %v, undefined %v", q.Labels, q.Undefined)
	}
	var got struct {
		Parameters map[string]string
		Outputs    []struct{ Data []any }
	}
	must(t, json.Unmarshal(q.Out, &got))
	const says = "rows 1, 3: the model answered NaN or an infinite number"
	if got.Parameters["errors"] != says || strings.Count(string(q.Out), `"errors"`) != 1 {
		t.Errorf("parameters are %v", got.Parameters)
	}
	if want := []any{"deny", nil, "allow", nil}; !reflect.DeepEqual(got.Outputs[0].Data, want) {
		t.Errorf("labels are %v, want %v", got.Outputs[0].Data, want)
	}
	if want := []any{0.25, 0.75, nil, nil, 0.75, 0.25, 0.5, nil}; !reflect.DeepEqual(got.Outputs[1].Data, want) {
		t.Errorf("probabilities are %v, want %v", got.Outputs[1].Data, want)
	}
	q = answer(Call{Protocol: V1}, `{"instances":[[1],[2],[3],[4]]}`)
	if !strings.Contains(string(q.Out), `{"label":null,"probabilities":[null,null]}`) {
		t.Errorf("V1: %s", q.Out)
	}
	in, err := proto.Marshal(&oip.ModelInferRequest{Inputs: []*oip.ModelInferRequest_InferInputTensor{{
		Name: "x", Datatype: "FP64", Shape: []int64{4}, Contents: &oip.InferTensorContents{Fp64Contents: []float64{1, 2, 3, 4}},
	}}})
	must(t, err)
	q = &Request{Body: in}
	must(t, q.ReadMessage())
	must(t, q.Read(sc, Call{Protocol: GRPC}, limits))
	q.Scores = onnx.Scores{Rows: 4, Width: 2, Values: []float64{0.25, 0.75, math.NaN(), math.NaN(), 0.75, 0.25, 0.5, math.Inf(1)}}
	q.Classify()
	q.Write("champion")
	var reply oip.ModelInferResponse
	must(t, proto.Unmarshal(q.Answered(), &reply))
	if labels := reply.GetOutputs()[0].GetContents().GetBytesContents(); len(labels) != 4 || len(labels[1]) != 0 || string(labels[0]) != "deny" ||
		reply.GetParameters()["errors"].GetStringParam() != says {
		t.Errorf("gRPC: %v", &reply)
	}
}
