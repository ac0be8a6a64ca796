package inference

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"millrace.dev/functions/inference/codec"
)

// raw writes values as a binary tensor of the datatype.
func raw(t testing.TB, datatype string, values ...any) []byte {
	t.Helper()
	var b []byte
	for _, v := range values {
		x := 0.0
		switch v := v.(type) {
		case json.Number:
			var err error
			x, err = v.Float64()
			must(t, err)
		case float64:
			x = v
		case int:
			x = float64(v)
		case bool:
			if v {
				x = 1
			}
		case nil:
			x = math.NaN()
		}
		switch datatype {
		case "BYTES":
			b = binary.LittleEndian.AppendUint32(b, uint32(len(v.(string))))
			b = append(b, v.(string)...)
		case "BOOL", "INT8", "UINT8":
			b = append(b, byte(int(x)))
		case "INT16", "UINT16":
			b = binary.LittleEndian.AppendUint16(b, uint16(int(x)))
		case "INT32", "UINT32":
			b = binary.LittleEndian.AppendUint32(b, uint32(int(x)))
		case "INT64", "UINT64":
			b = binary.LittleEndian.AppendUint64(b, uint64(int(x)))
		case "FP16":
			b = binary.LittleEndian.AppendUint16(b, half(x))
		case "BF16":
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(float32(x))>>16))
		case "FP32":
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		case "FP64":
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		default:
			t.Fatalf("no datatype %s", datatype)
		}
	}
	return b
}

// halfValue is the value of a positive half-precision number.
func halfValue(bits uint16) float64 {
	if bits < 0x400 {
		return math.Ldexp(float64(bits), -24)
	}
	return math.Ldexp(float64(1024+bits&1023), int(bits>>10)-25)
}

// half finds the half-precision number nearest to x.
func half(x float64) uint16 {
	best, at := math.Inf(1), uint16(0)
	for bits := range uint16(0x7c00) {
		if d := math.Abs(halfValue(bits) - math.Abs(x)); d < best {
			best, at = d, bits
		}
	}
	if x < 0 {
		at |= 0x8000
	}
	return at
}

// binaryInput is a tensor of a request whose values follow the JSON.
type binaryInput struct {
	name, datatype string
	shape          []int
	data           []byte
}

func (g golden) binaryInputs(t testing.TB, rows int, datatypes map[string]string) []binaryInput {
	t.Helper()
	var all []binaryInput
	for _, f := range g.Features {
		d := sent[f.Type]
		if other := datatypes[f.Name]; other != "" {
			d = other
		}
		all = append(all, binaryInput{f.Name, d, []int{rows, 1}, raw(t, d, g.Rows[f.Name][:rows]...)})
	}
	return all
}

// binaryBody writes the JSON and the tensors behind it.
func binaryBody(t testing.TB, inputs []binaryInput, more map[string]any) (body []byte, header string) {
	t.Helper()
	var tensors []any
	var data []byte
	for _, in := range inputs {
		tensors = append(tensors, map[string]any{
			"name": in.name, "datatype": in.datatype, "shape": in.shape, "parameters": map[string]any{"binary_data_size": len(in.data)},
		})
		data = append(data, in.data...)
	}
	request := map[string]any{"inputs": tensors}
	maps.Copy(request, more)
	head, err := json.Marshal(request)
	must(t, err)
	return append(head, data...), strconv.Itoa(len(head))
}

// binaryAnswer is an answer with its tensors.
type binaryAnswer struct {
	answer
	data map[string][]byte
}

func (w *env) askBinary(path string, body []byte, header string) binaryAnswer {
	w.t.Helper()
	req, err := http.NewRequest("POST", w.web.URL+path, bytes.NewReader(body))
	must(w.t, err)
	req.Header.Set("Inference-Header-Content-Length", header)
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := w.web.Client().Do(req)
	must(w.t, err)
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	must(w.t, err)
	a := binaryAnswer{answer{Code: resp.StatusCode, Header: resp.Header, Raw: string(all)}, map[string][]byte{}}
	head := all
	if n := resp.Header.Get("Inference-Header-Content-Length"); n != "" {
		if resp.Header.Get("Content-Type") != "application/octet-stream" {
			w.t.Errorf("content type %s", resp.Header.Get("Content-Type"))
		}
		end, err := strconv.Atoi(n)
		must(w.t, err)
		head, all = all[:end], all[end:]
	}
	must(w.t, json.Unmarshal(head, &a.answer))
	var sizes struct {
		Outputs []struct {
			Name       string
			Parameters map[string]int
		}
	}
	must(w.t, json.Unmarshal(head, &sizes))
	for _, o := range sizes.Outputs {
		if n, ok := o.Parameters["binary_data_size"]; ok {
			a.data[o.Name], all = all[:n], all[n:]
		}
	}
	return a
}

func TestBinaryTensors(t *testing.T) {
	w, g := servedFlights(t)
	const path = "/v2/models/flights/infer"
	want := w.infer(g, g.rows())

	t.Run("inputs in, JSON out", func(t *testing.T) {
		body, header := binaryBody(t, g.binaryInputs(t, g.rows(), nil), map[string]any{"id": "b"})
		a := w.askBinary(path, body, header)
		if a.Code != 200 || a.ID != "b" || fmt.Sprint(a.Outputs) != fmt.Sprint(want.Outputs) || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %s", a.Code, a.Raw)
		}
	})

	t.Run("binary outputs", func(t *testing.T) {
		body, header := binaryBody(t, g.binaryInputs(t, g.rows(), nil), map[string]any{"parameters": map[string]any{"binary_data_output": true}})
		a := w.askBinary(path, body, header)
		if a.Code != 200 || a.Parameters["binary_data_output"] != nil {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
		if !bytes.Equal(a.data["label"], raw(t, "BYTES", want.Outputs[0].Data...)) || !bytes.Equal(a.data["probabilities"], raw(t, "FP32", want.Outputs[1].Data...)) {
			t.Errorf("%q", a.Raw)
		}
	})

	t.Run("outputs overrule the request", func(t *testing.T) {
		outputs := []any{
			map[string]any{"name": "probabilities", "parameters": map[string]any{"binary_data": false}},
			map[string]any{"parameters": map[string]any{"binary_data": true}, "name": "label"},
		}
		for _, all := range []bool{true, false} {
			body, header := binaryBody(t, g.binaryInputs(t, 2, nil), map[string]any{"parameters": map[string]any{"binary_data_output": all}, "outputs": outputs})
			a := w.askBinary(path, body, header)
			if a.Code != 200 || len(a.data) != 1 || len(a.data["label"]) == 0 || len(a.Outputs[0].Data) != 4 {
				t.Errorf("%d %q", a.Code, a.Raw)
			}
		}
		// From a request in JSON too.
		raw := g.inferBody(t, 0, 2, map[string]any{"outputs": outputs})
		a := w.askBinary(path, raw, strconv.Itoa(len(raw)))
		if a.Code != 200 || len(a.data) != 1 {
			t.Errorf("%d %q", a.Code, a.Raw)
		}
	})

	t.Run("every datatype that means the same", func(t *testing.T) {
		for column, datatypes := range map[string][]string{
			"hour":     {"INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64"},
			"distance": {"INT32", "FP32", "FP64"}, "weekend": {"INT8", "FP32", "UINT64"},
		} {
			for _, d := range datatypes {
				body, header := binaryBody(t, g.binaryInputs(t, 1, map[string]string{column: d}), nil)
				if a := w.askBinary(path, body, header); a.Code != 200 {
					t.Errorf("%s as %s: %d %s", column, d, a.Code, a.Raw)
				}
			}
		}
		for _, d := range []string{"FP16", "BF16"} {
			inputs := g.binaryInputs(t, 1, nil)
			inputs[3].datatype, inputs[3].data = d, raw(t, d, 512.0)
			body, header := binaryBody(t, inputs, nil)
			a := w.askBinary(path, body, header)
			inputs[3].datatype, inputs[3].data = "FP64", raw(t, "FP64", 512.0)
			body, header = binaryBody(t, inputs, nil)
			if b := w.askBinary(path, body, header); a.Code != 200 || fmt.Sprint(a.Outputs) != fmt.Sprint(b.Outputs) {
				t.Errorf("%s: %d %s\n%s", d, a.Code, a.Raw, b.Raw)
			}
		}
	})

	t.Run("NaN is missing", func(t *testing.T) {
		inputs := g.binaryInputs(t, 1, nil)
		inputs[4].data = raw(t, inputs[4].datatype, nil)
		body, header := binaryBody(t, inputs, nil)
		if a := w.askBinary(path, body, header); a.Code != 200 {
			t.Errorf("%d %s", a.Code, a.Raw)
		}
	})

	change := func(i int, datatype string, data []byte) (body []byte, header string) {
		inputs := g.binaryInputs(t, 1, nil)
		inputs[i].datatype, inputs[i].data = datatype, data
		return binaryBody(t, inputs, nil)
	}
	for name, c := range map[string]struct {
		make func() ([]byte, string)
		want string
	}{
		"short number":           {func() ([]byte, string) { return change(2, "INT64", []byte{1, 2, 3}) }, "input hour has 3 bytes of data; 1 values of datatype INT64 have 8"},
		"short text":             {func() ([]byte, string) { return change(0, "BYTES", []byte{9, 0, 0, 0, 'U'}) }, "input carrier: the data ends within value 0"},
		"huge text":              {func() ([]byte, string) { return change(0, "BYTES", []byte{255, 255, 255, 255, 'U'}) }, "input carrier: the data ends within value 0"},
		"long text":              {func() ([]byte, string) { return change(0, "BYTES", []byte{1, 0, 0, 0, 'U', 'A'}) }, "input carrier: 1 bytes are left after its 1 values"},
		"NoUTF8":                 {func() ([]byte, string) { return change(0, "BYTES", []byte{1, 0, 0, 0, 255}) }, "column carrier, row 0: the string is not UTF-8"},
		"no bool":                {func() ([]byte, string) { return change(5, "BOOL", []byte{2}) }, "column weekend, row 0: 2 is not true or false"},
		"fraction":               {func() ([]byte, string) { return change(2, "FP32", raw(t, "FP32", 1.5)) }, "column hour, row 0: 1.5 is not a whole number"},
		"missing int":            {func() ([]byte, string) { return change(2, "FP32", raw(t, "FP32", nil)) }, "column hour, row 0: the value is missing"},
		"half for int":           {func() ([]byte, string) { return change(2, "FP16", []byte{0, 0}) }, "input hour: datatype FP16 does not fit column type int; send INT64"},
		"huge uint":              {func() ([]byte, string) { return change(2, "UINT64", bytes.Repeat([]byte{255}, 8)) }, "column hour, row 0: 18446744073709551615 is not a number of a column of type int"},
		"lossy float":            {func() ([]byte, string) { return change(3, "UINT64", bytes.Repeat([]byte{255}, 8)) }, "has more digits than a float holds"},
		"no datatype":            {func() ([]byte, string) { return change(3, "FP8", []byte{1}) }, `input distance: there is no datatype "FP8"; send FP64`},
		"header too long":        {func() ([]byte, string) { b, _ := change(2, "INT64", nil); return b, "100000" }, "must be how many of the body's"},
		"header is not a number": {func() ([]byte, string) { b, _ := change(2, "INT64", nil); return b, "x" }, `Inference-Header-Content-Length is "x"`},
		"left": {func() ([]byte, string) {
			b, h := binaryBody(t, g.binaryInputs(t, 1, nil), nil)
			return append(b, 1, 2, 3), h
		}, "3 bytes of binary data are left after the last tensor"},
		"both": {func() ([]byte, string) {
			b := []byte(`{"inputs":[{"name":"hour","shape":[1],"datatype":"INT64","data":[1],"parameters":{"binary_data_size":8}}]}`)
			return append(b, make([]byte, 8)...), strconv.Itoa(len(b))
		}, "input hour has data in the JSON and binary_data_size"},
		"bare": {func() ([]byte, string) { return []byte("x"), "0" }, "a body without JSON is for models with one input, and version 1 of flights has 6"},
	} {
		t.Run(name, func(t *testing.T) {
			body, header := c.make()
			if a := w.askBinary(path, body, header); a.Code != 400 || !strings.Contains(a.Error, c.want) {
				t.Errorf("%d %s\nwant %s", a.Code, a.Raw, c.want)
			}
		})
	}
}

// TestBareBody asks a model of one matrix by its values alone.
func TestBareBody(t *testing.T) {
	w, g, _ := servedDiabetes(t)
	rows := 3
	var values []any
	for row := range rows {
		for _, f := range g.Features {
			values = append(values, g.Rows[f.Name][row])
		}
	}
	datatype := w.f.routing.Load().models["diabetes"].champion().schema.Inputs[0].Datatype
	a := w.askBinary("/v2/models/diabetes/infer", raw(t, datatype, values...), "0")
	if a.Code != 200 || len(a.data["prediction"]) == 0 {
		t.Fatalf("%d %q", a.Code, a.Raw)
	}
	for i := range rows {
		got := float64(math.Float32frombits(binary.LittleEndian.Uint32(a.data["prediction"][4*i:])))
		if math.Abs(got-g.Scores[i]) > 1e-4*math.Max(1, math.Abs(g.Scores[i])) {
			t.Errorf("row %d is %v, Python says %v", i, got, g.Scores[i])
		}
	}
	if a := w.askBinary("/v2/models/diabetes/infer", []byte{1, 2, 3}, "0"); a.Code != 400 || !strings.Contains(a.Error, "which is not a multiple of a row's") {
		t.Errorf("%d %q", a.Code, a.Raw)
	}
}

func TestCompressedBodies(t *testing.T) {
	w, g := servedFlights(t)
	body, header := binaryBody(t, g.binaryInputs(t, 3, nil), nil)
	var zipped, deflated bytes.Buffer
	gz, zl := gzip.NewWriter(&zipped), zlib.NewWriter(&deflated)
	for _, to := range []io.WriteCloser{gz, zl} {
		_, err := to.Write(body)
		must(t, err)
		must(t, to.Close())
	}
	const path = "/v2/models/flights/infer"
	for coding, sent := range map[string][]byte{"gzip": zipped.Bytes(), "deflate": deflated.Bytes(), "identity": body} {
		if a := w.ask("POST", path, sent, "Content-Encoding", coding, codec.HeaderJSON, header); a.Code != 200 {
			t.Errorf("%s: %d %s", coding, a.Code, a.Raw)
		}
	}
	if a := w.ask("POST", path, body, "Content-Encoding", "br"); a.Code != 415 || !strings.Contains(a.Error, "send gzip, deflate or none") {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	if a := w.ask("POST", path, body, "Content-Encoding", "gzip"); a.Code != 400 || !strings.Contains(a.Error, "not what its content encoding says") {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	var bomb bytes.Buffer
	gz = gzip.NewWriter(&bomb)
	_, err := gz.Write(make([]byte, 20<<20))
	must(t, err)
	must(t, gz.Close())
	if a := w.ask("POST", path, bomb.Bytes(), "Content-Encoding", "gzip"); a.Code != 413 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}
