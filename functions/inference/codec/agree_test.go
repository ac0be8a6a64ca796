package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"testing"
	"time"

	"millrace.dev/shared/onnx"
)

// numeric is a schema of numbers, which may come as one matrix.
func numeric() *Schema {
	return NewSchema("p", "1", onnx.Contract{Task: onnx.Regression, Features: []onnx.Feature{
		{Name: "f", Type: onnx.Float}, {Name: "i", Type: onnx.Int}, {Name: "b", Type: onnx.Bool},
	}}, onnx.Signature{})
}

// single is a schema of one column.
func single() *Schema {
	return NewSchema("p", "1", onnx.Contract{Task: onnx.Regression, Features: []onnx.Feature{{Name: "f", Type: onnx.Float}}}, onnx.Signature{})
}

// FuzzAgreesWithEncodingJSON compares what is read of a body with what
// encoding/json reads: whatever is accepted is JSON (but for NaN and Infinity)
// and has the same values.
func FuzzAgreesWithEncodingJSON(f *testing.F) {
	for _, body := range []string{
		`{"id":"x","inputs":[{"name":"s","shape":[2],"datatype":"BYTES","data":["a","\u00fc\n"]},{"name":"i","shape":[2,1],"datatype":"INT64","data":[[9007199254740993],[-2e2]]},` +
			`{"data":[1.5,null],"name":"f","shape":[2],"datatype":"FP32"},{"name":"b","shape":[2],"datatype":"BOOL","data":[true,0]},` +
			`{"name":"t","shape":[2],"datatype":"BYTES","data":["2013-01-01T00:00:00Z","2013-01-01T00:00:00.5Z"]}],"outputs":[{"name":"label"}],"parameters":{"a":1}}`,
		`{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP64","data":[[1,2,1],[NaN,4,0]]}]}`,
		`{"inputs":[{"name":"f","shape":[3],"datatype":"FP64","data":[-Infinity,Infinity,1e-5]}],"more":{"a":["\"",{}]}}`,
		`{"instances":[{"s":"a","i":1,"f":2,"b":true,"t":0},["b",2,null,false,5]],"more":"\ud83d\ude00"}`,
		`{"inputs":{"s":["a"],"i":[1.0],"f":[NaN],"b":[1],"t":["2013-01-01T00:00:00Z"]}}`,
		`{"instances":[1,[2.5],{"f":null}]}`,
	} {
		for protocol := range int8(2) {
			for schema := range int8(3) {
				f.Add([]byte(body), protocol, schema)
			}
		}
	}
	schemas := []*Schema{sketch(), numeric(), single()}
	q := &Request{}
	f.Fuzz(func(t *testing.T, body []byte, protocol, schema int8) {
		if protocol < 0 || protocol > 1 || schema < 0 || schema > 2 {
			return
		}
		load(q, body)
		c := Call{Protocol: []Protocol{V2, V1}[protocol]}
		if q.Read(schemas[schema], c, limits) != nil {
			return
		}
		plain := withoutExtensions(body)
		if !json.Valid(plain) {
			t.Fatalf("%q is read, and encoding/json refuses it", body)
		}
		d := json.NewDecoder(bytes.NewReader(plain))
		d.UseNumber()
		var document map[string]any
		must(t, d.Decode(&document))
		if id, ok := document["id"].(string); ok && id != "" && c.Protocol == V2 && string(q.ID) != id {
			t.Fatalf("%q: the id is %q, want %q", body, q.ID, id)
		}
		want := expectedV2
		if c.Protocol == V1 {
			want = expectedV1
		}
		for name, values := range want(q, document) {
			i := slices.IndexFunc(q.columns, func(c column) bool { return c.Name == name })
			if len(values) != q.Rows {
				t.Fatalf("%q: column %s has %d values, and %d rows are read", body, name, len(values), q.Rows)
			}
			for row, v := range values {
				if err := agrees(&q.columns[i], row, v); err != nil {
					t.Fatalf("%q: column %s, row %d: %v", body, name, row, err)
				}
			}
		}
	})
}

// withoutExtensions writes what is beyond JSON as JSON: NaN as null, Infinity as
// the largest number.
func withoutExtensions(body []byte) (plain []byte) {
	inString := false
	for i := 0; i < len(body); i++ {
		switch rest := body[i:]; {
		case inString && rest[0] == '\\' && len(rest) > 1:
			plain = append(plain, rest[0])
			i++
		case rest[0] == '"':
			inString = !inString
		case inString:
		case bytes.HasPrefix(rest, []byte("NaN")):
			plain, i = append(plain, "null"...), i+2
			continue
		case bytes.HasPrefix(rest, []byte("Infinity")):
			plain, i = append(plain, strconv.FormatFloat(math.MaxFloat64, 'g', -1, 64)...), i+7
			continue
		}
		plain = append(plain, body[i])
	}
	return plain
}

// expectedV2 returns the values of each column of a body that was accepted.
func expectedV2(q *Request, document map[string]any) map[string][]any {
	columns := map[string][]any{}
	for _, in := range document["inputs"].([]any) {
		tensor := in.(map[string]any)
		values := flattened(tensor["data"])
		name := tensor["name"].(string)
		if q.schema.Reads(name) {
			columns[name] = values
			continue
		}
		for i, v := range values { // the matrix
			name := q.columns[i%len(q.columns)].Name
			columns[name] = append(columns[name], v)
		}
	}
	return columns
}

func expectedV1(q *Request, document map[string]any) map[string][]any {
	columns := map[string][]any{}
	if inputs, ok := document["inputs"].(map[string]any); ok {
		for name, values := range inputs {
			columns[name] = flattened(values)
		}
		return columns
	}
	for _, instance := range document["instances"].([]any) {
		for i := range q.columns {
			name := q.columns[i].Name
			switch instance := instance.(type) {
			case map[string]any:
				columns[name] = append(columns[name], instance[name])
			case []any:
				columns[name] = append(columns[name], instance[i])
			default:
				columns[name] = append(columns[name], instance)
			}
		}
	}
	return columns
}

func flattened(v any) (all []any) {
	list, ok := v.([]any)
	if !ok {
		return []any{v}
	}
	for _, v := range list {
		all = append(all, flattened(v)...)
	}
	return all
}

// agrees compares a value that was read with encoding/json's.
func agrees(c *column, row int, want any) error {
	differs := func(got any) error { return fmt.Errorf("%v is read, encoding/json reads %v", got, want) }
	if null := c.Nulls != nil && c.Nulls[row]; null != (want == nil) {
		return differs(null)
	} else if null {
		return nil
	}
	got := valueOf(c, row)
	switch want := want.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, want); c.feature.Type == onnx.Timestamp && (err != nil || got != at.UnixMicro()) || c.feature.Type == onnx.String && got != want {
			return differs(got)
		}
	case bool:
		if got != want && got != map[bool]float64{true: 1}[want] && got != map[bool]int64{true: 1}[want] {
			return differs(got)
		}
	case json.Number:
		if !sameNumber(got, want.String()) {
			return differs(got)
		}
	default:
		return differs(got)
	}
	return nil
}

func sameNumber(got any, want string) bool {
	f, err := strconv.ParseFloat(want, 64)
	if err != nil {
		return false
	}
	switch got := got.(type) {
	case float64:
		return got == f || math.IsInf(got, 1) && f == math.MaxFloat64 || math.IsInf(got, -1) && f == -math.MaxFloat64
	case bool:
		return got == (f == 1) && (f == 0 || f == 1)
	case int64:
		if exact, ok := new(big.Int).SetString(want, 10); ok {
			return exact.Cmp(big.NewInt(got)) == 0
		}
		return float64(got) == f && math.Abs(f) < 1<<53
	}
	return false
}
