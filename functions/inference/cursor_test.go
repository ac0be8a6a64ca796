package inference

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"millrace.dev/shared/onnx"
	"millrace.dev/shared/state"
)

func TestNumbers(t *testing.T) {
	for text, want := range map[string]number{
		"0": {0, 0, true}, "-0": {0, 0, true}, "17": {17, 17, true}, "-17": {-17, -17, true},
		"1.5": {f: 1.5}, "1.0": {1, 1, true}, "1e3": {1000, 1000, true}, "-1.25E-2": {f: -0.0125},
		"0.1": {f: 0.1}, "3.141592653589793": {f: math.Pi}, "123456789012345678": {123456789012345678, 123456789012345678, true},
		"9223372036854775807": {math.MaxInt64, math.MaxInt64, true}, "9223372036854775808": {f: 9223372036854775808},
		"5e-324": {f: 5e-324}, "1.7976931348623157e308": {f: math.MaxFloat64}, "12345678901234567890.5": {f: 12345678901234567890.5},
		"9007199254740993": {9007199254740992, 9007199254740993, true},
	} {
		c := &cursor{b: []byte(text)}
		if got, err := c.number(); err != nil || got != want || c.at != len(text) {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "01", "1.", ".5", "1e", "1e+", "+1", "1e400", "--1"} {
		c := &cursor{b: []byte(text)}
		if got, err := c.number(); err == nil && c.at == len(text) {
			t.Errorf("%s is %+v", text, got)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1", "-1.5e10", "0.1", "123456789012345678901234567890", "1e-400", "4.9e-324"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := &cursor{b: []byte(s)}
		got, err := c.number()
		if err != nil || c.at < len(s) {
			return
		}
		var want float64
		if err := json.Unmarshal([]byte(s), &want); err != nil {
			t.Fatalf("%q is %+v; encoding/json says %v", s, got, err)
		}
		if got.f != want {
			t.Fatalf("%q is %v; encoding/json says %v", s, got.f, want)
		}
		if got.whole && float64(got.i) != want {
			t.Fatalf("%q is %d; encoding/json says %v", s, got.i, want)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u00fc\ud83d\ude00\ud800\n\/"`, `"ü"`, "\"\xff\"", `"\`, `"\u12`, `"\ud83d\u0041"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &cursor{b: slices.Clone(b)}
		got, err := c.text()
		var want string
		wrong := json.Unmarshal(b, &want)
		switch {
		case err == nil && c.end() == nil && wrong != nil:
			t.Fatalf("%q is %q; encoding/json says %v", b, got, wrong)
		case err == nil && wrong == nil && string(got) != want:
			t.Fatalf("%q is %q; encoding/json says %q", b, got, want)
		case err != nil && wrong == nil && len(bytes.TrimSpace(b)) > 0 && bytes.TrimSpace(b)[0] == '"' && !strings.ContainsRune(want, '\ufffd'):
			t.Fatalf("%q: %v; encoding/json says %q", b, err, want)
		}
	})
}

func FuzzSkip(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}],"c":"\"x"}`, `[`, `{"a"`, `[1,]`, `nul`, `-Infinity`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		c := &cursor{b: b}
		err := c.skip(0)
		if !bytes.Equal(b, before) {
			t.Fatalf("%q became %q", before, b)
		}
		depth := bytes.Count(b, []byte("[")) + bytes.Count(b, []byte("{"))
		if json.Valid(b) && (err != nil || c.end() != nil) && depth < maxDepth && len(b) < 300 && !bytes.ContainsAny(b, "eE") { // 1e400 is JSON and no number of ours, however it is written
			t.Fatalf("%q: %v", b, err)
		}
	})
}

// sketch is a version without a model: for decoding only.
func sketch() (*served, *version) {
	v := &version{text: "1", pipeline: "p", index: map[string]int{}, matrix: true, outputs: []tensorInfo{{Name: outputLabel}, {Name: outputProbabilities}}}
	v.contract = onnx.Contract{Task: onnx.BinaryClassification, Classes: []string{"a", "b"}, Features: []onnx.Feature{
		{Name: "s", Type: onnx.String}, {Name: "i", Type: onnx.Int}, {Name: "f", Type: onnx.Float}, {Name: "b", Type: onnx.Bool}, {Name: "t", Type: onnx.Timestamp},
	}}
	for i, feature := range v.contract.Features {
		v.index[feature.Name] = i
		v.nullable = append(v.nullable, feature.Type == onnx.Float)
		v.inputs = append(v.inputs, tensorInfo{Name: feature.Name, Datatype: datatypeOf(feature.Type, "")})
	}
	return &served{name: "p", state: state.New("p")}, v
}

func checkDecoded(t testing.TB, q *request) {
	t.Helper()
	if q.rows < 1 || q.rows > 100 || q.batch.Rows != q.rows || len(q.batch.Columns) != 5 {
		t.Fatalf("%d rows, batch of %d with %d columns", q.rows, q.batch.Rows, len(q.batch.Columns))
	}
	for i, c := range q.batch.Columns {
		n := len(c.Strings) + len(c.Ints) + len(c.Floats) + len(c.Bools)
		if n != q.rows || c.Nulls != nil && len(c.Nulls) != q.rows {
			t.Fatalf("column %d has %d values and %d flags for %d rows", i, n, len(c.Nulls), q.rows)
		}
	}
}

func FuzzReadInfer(f *testing.F) {
	f.Add([]byte(`{"id":"x","inputs":[{"name":"s","shape":[2],"datatype":"BYTES","data":["a","\u00fc"]},{"name":"i","shape":[2,1],"datatype":"INT8","data":[[1],[2]]},` +
		`{"data":[1.5,null],"name":"f","shape":[2],"datatype":"FP32"},{"name":"b","shape":[2],"datatype":"BOOL","data":[true,0]},` +
		`{"name":"t","shape":[2],"datatype":"BYTES","data":["2013-01-01T00:00:00Z","2013-01-01T00:00:00.5Z"]}],"outputs":[{"name":"label"}],"parameters":{"a":1}}`))
	f.Add([]byte(`{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","data":[NaN]}]}`))
	s, v := sketch()
	q := &request{}
	f.Fuzz(func(t *testing.T, b []byte) {
		q.body = append(q.body[:0], b...)
		q.header = len(q.body)
		q.outputs = q.outputs[:0]
		id := idOf(q.body)
		if !bytes.Equal(q.body, b) {
			t.Fatalf("looking for the id %q changed the body", id)
		}
		if q.readInfer(s, v, 100) == nil {
			checkDecoded(t, q)
		}
	})
}

func FuzzReadPredict(f *testing.F) {
	f.Add([]byte(`{"instances":[{"s":"a","i":1,"f":2,"b":true,"t":0},["b",2,null,false,5]]}`))
	f.Add([]byte(`{"inputs":{"s":["a"],"i":[1],"f":[NaN],"b":[true],"t":["2013-01-01T00:00:00Z"]}}`))
	s, v := sketch()
	q := &request{}
	f.Fuzz(func(t *testing.T, b []byte) {
		q.body = append(q.body[:0], b...)
		q.header = len(q.body)
		if q.readPredict(s, v, 100) == nil {
			checkDecoded(t, q)
		}
	})
}

func TestFuzzSeedsAreAccepted(t *testing.T) {
	s, v := sketch()
	q := &request{}
	q.body = []byte(`{"instances":[{"s":"a","i":1,"f":2,"b":true,"t":0},["b",2,null,false,5]]}`)
	q.header = len(q.body)
	must(t, q.readPredict(s, v, 100))
	checkDecoded(t, q)
	if q.columns[2].Floats[0] != 2 || !q.columns[2].Nulls[1] || q.columns[4].Ints[1] != 5 || q.columns[0].Strings[1] != "b" {
		t.Errorf("columns are %+v", q.columns)
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\t\x01\x1f/ü😀"} {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != s {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	}
}
