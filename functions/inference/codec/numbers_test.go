package codec

import (
	"strconv"
	"strings"
	"testing"

	"millrace.dev/shared/onnx"
)

// TestNumbersThatDoNotFit has numbers at the bounds of a column and of the model's input: they
// are rounded to the nearest, and what would become infinite is refused.
func TestNumbersThatDoNotFit(t *testing.T) {
	t.Parallel()
	single := onnx.Signature{Matrix: true, Inputs: []onnx.Tensor{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 2}}}}
	double := onnx.Signature{Inputs: []onnx.Tensor{{Name: "f", Datatype: "FP64"}, {Name: "i", Datatype: "FP64"}}}
	c := onnx.Contract{Task: onnx.Regression, Features: []onnx.Feature{{Name: "f", Type: onnx.Float}, {Name: "i", Type: onnx.Int}}}
	for _, v := range []struct {
		signature onnx.Signature
		rows      string
		want      string // "" if the rows are taken
	}{
		{single, `[0.1,16777217],[3.4028235e38,9223372036854775807],[-1e-300,-5]`, ""},
		{double, `[1e308,1],[null,2]`, ""},
		{single, `[1e308,1],[1,2],[-3.5e38,3]`, "column f, rows 0, 2: the number is beyond what the model's input holds, FP32 (up to 3.4e38)"},
		{double, `[1e309,1]`, "1e309 is too large for a number of 64 bits"},
		{double, `[Infinity,1]`, "column f, row 0: infinity is not a number that a column holds"},
		{double, `[9007199254740993,1]`, "column f, row 0: 9007199254740993 has more digits than a float holds"},
		{double, `[1,9223372036854775808]`, "is not a whole number of 64 bits"},
	} {
		q := &Request{}
		load(q, []byte(`{"instances":[`+v.rows+`]}`))
		err := q.Read(NewSchema("p", "1", c, v.signature), Call{Protocol: V1}, limits)
		if (v.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), v.want) || StatusOf(err) != 400) {
			t.Errorf("%s: %v; want %q", v.rows, err, v.want)
		}
	}
	const head = `{"inputs":[{"name":"f","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}},{"name":"i","shape":[1],"datatype":"INT64","data":[1]}]}`
	q := &Request{}
	load(q, append([]byte(head), 0, 0, 0x80, 0xff)) // minus infinity
	must(t, q.Split(strconv.Itoa(len(head))))
	if err := q.Read(NewSchema("p", "1", c, double), Call{}, limits); err == nil || !strings.Contains(err.Error(), "column f, row 0: infinity is not a number") {
		t.Errorf("binary: %v", err)
	}
}
