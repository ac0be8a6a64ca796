package codec

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"millrace.dev/shared/onnx"
)

// sketch is a schema of every type.
func sketch() *Schema {
	return NewSchema("p", "1", onnx.Contract{Task: onnx.BinaryClassification, Classes: []string{"a", "b"}, Features: []onnx.Feature{
		{Name: "s", Type: onnx.String}, {Name: "i", Type: onnx.Int}, {Name: "f", Type: onnx.Float}, {Name: "b", Type: onnx.Bool}, {Name: "t", Type: onnx.Timestamp},
	}}, onnx.Signature{})
}

// limits of the tests: no column is ignored.
var limits = Limits{MaxRows: 100, Ignores: func([]byte) bool { return false }}

// load makes the bytes the body of a request.
func load(q *Request, b []byte) {
	q.Reset()
	q.Body = append(q.Body, b...)
	q.Loaded()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkDecoded(t testing.TB, q *Request) {
	t.Helper()
	if q.Rows < 1 || q.Rows > 100 || q.Batch.Rows != q.Rows || len(q.Batch.Columns) != 5 {
		t.Fatalf("%d rows, batch of %d with %d columns", q.Rows, q.Batch.Rows, len(q.Batch.Columns))
	}
	for i, c := range q.Batch.Columns {
		n := len(c.Strings) + len(c.Ints) + len(c.Floats) + len(c.Bools)
		if n != q.Rows || c.Nulls != nil && len(c.Nulls) != q.Rows {
			t.Fatalf("column %d has %d values and %d flags for %d rows", i, n, len(c.Nulls), q.Rows)
		}
	}
}

func FuzzReadInfer(f *testing.F) {
	f.Add([]byte(`{"id":"x","inputs":[{"name":"s","shape":[2],"datatype":"BYTES","data":["a","\u00fc"]},{"name":"i","shape":[2,1],"datatype":"INT8","data":[[1],[2]]},` +
		`{"data":[1.5,null],"name":"f","shape":[2],"datatype":"FP32"},{"name":"b","shape":[2],"datatype":"BOOL","data":[true,0]},` +
		`{"name":"t","shape":[2],"datatype":"BYTES","data":["2013-01-01T00:00:00Z","2013-01-01T00:00:00.5Z"]}],"outputs":[{"name":"label"}],"parameters":{"a":1}}`))
	f.Add([]byte(`{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","data":[NaN]}]}`))
	sc, q := sketch(), &Request{}
	f.Fuzz(func(t *testing.T, b []byte) {
		load(q, b)
		id := q.PeekID()
		if !bytes.Equal(q.Body, b) {
			t.Fatalf("looking for the id %q changed the body", id)
		}
		if q.Read(sc, Call{}, limits) == nil {
			checkDecoded(t, q)
		}
	})
}

func FuzzReadPredict(f *testing.F) {
	f.Add([]byte(`{"instances":[{"s":"a","i":1,"f":2,"b":true,"t":0},["b",2,null,false,5]]}`))
	f.Add([]byte(`{"inputs":{"s":["a"],"i":[1],"f":[NaN],"b":[true],"t":["2013-01-01T00:00:00Z"]}}`))
	sc, q := sketch(), &Request{}
	f.Fuzz(func(t *testing.T, b []byte) {
		load(q, b)
		if q.Read(sc, Call{Protocol: V1}, limits) == nil {
			checkDecoded(t, q)
		}
	})
}

func TestFuzzSeedsAreAccepted(t *testing.T) {
	t.Parallel()
	sc, q := sketch(), &Request{}
	load(q, []byte(`{"instances":[{"s":"a","i":1,"f":2,"b":true,"t":0},["b",2,null,false,5]]}`))
	must(t, q.Read(sc, Call{Protocol: V1}, limits))
	checkDecoded(t, q)
	if q.columns[2].Floats[0] != 2 || !q.columns[2].Nulls[1] || q.columns[4].Ints[1] != 5 || q.columns[0].Strings[1] != "b" {
		t.Errorf("columns are %+v", q.columns)
	}
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", "a\"b\\c\n\t\x01\x1f/ü😀"} {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != s {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	}
}

// TestRefuses has bodies that a lenient reader would take for something else.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"inputs":[{"name":"f","datatype":"FP64","shape":[1],"data":[1],"name":"i"}]}`:         "input f has two names",
		`{"inputs":[{"name":"f","datatype":"FP64","shape":[1],"data":[1],"datatype":"INT64"}]}`: "input f has two datatypes",
		`{"inputs":[{"name":"f","datatype":"FP64","shape":[1],"data":[1],"shape":[2]}]}`:        "input f has two shapes",
		`{"id":"a","id":"b","inputs":[]}`:                                                       "id is given twice",
		`{"outputs":[{"name":"label"}],"outputs":[{"name":"label"}],"inputs":[]}`:               "outputs is given twice",
		`{"more":"\x","inputs":[]}`:                                                             `\x is not an escape`,
		`{"more":"\u12","inputs":[]}`:                                                           `\u must be followed by four hex digits`,
		`{"inputs":[{"name":"i","datatype":"INT64","shape":[1],"data":[9007199254740993.0]}]}`:  "9007199254740993.0 is not a whole number of 64 bits",
		`{"inputs":[{"name":"i","datatype":"INT64","shape":[1],"data":[9223372036854775808]}]}`: "9223372036854775808 is not a whole number of 64 bits",
	} {
		q := &Request{}
		load(q, []byte(body))
		if err := q.Read(sketch(), Call{}, limits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", body, err, want)
		}
	}
}
