package rows_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"millrace.dev/deploy/millrace/rows"
	"millrace.dev/shared/table"
)

var types = map[string]string{"x": "FP64", "n": "INT64", "s": "BYTES", "b": "BOOL", "f": "FP32"}

func all(t *testing.T, in string) (out []string, failure error) {
	t.Helper()
	for row, err := range rows.Read(t.Context(), strings.NewReader(in), types) {
		if err != nil {
			return out, err
		}
		out = append(out, string(row))
	}
	return out, nil
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, in, want, failure string }{
		{name: "nothing"},
		{name: "spaces", in: " \n\t "},
		{name: "one object", in: `{"x": 1}`, want: `{"x": 1}`},
		{name: "lines", in: "{\"x\":1}\n{\"x\":2}\n", want: `{"x":1} {"x":2}`},
		{name: "list", in: `[{"x":1},{"x":2}]`, want: `{"x":1} {"x":2}`},
		{name: "instances", in: `{"instances": [{"x":1}]}`, want: `{"x":1}`},
		{name: "a column called instances", in: `{"instances": [1], "x": 2}`, want: `{"instances": [1], "x": 2}`},
		{name: "no object", in: `[1, 2]`, failure: "row 1 is 1; a row is an object by column"},
		{name: "half", in: `{"x": 1}{"x"`, want: `{"x": 1}`, failure: "after row 1 comes no JSON"},
		{name: "csv", in: "x,n,s,b\n1.5,7,007,TRUE\nNA,,,false\n", want: `{"b":true,"n":7,"s":"007","x":1.5} {"b":false,"n":null,"s":null,"x":null}`},
		{name: "csv with a mark and semicolons", in: "\ufeffx;s\r\n2;\"a;b\"\r\n", want: `{"s":"a;b","x":2}`},
		{name: "tabs", in: "x\ts\n2\tu\n", want: `{"s":"u","x":2}`},
		{name: "other columns stay text", in: "y\n12\n", want: `{"y":"12"}`},
		{name: "whole floats", in: "n\n12.0\n", want: `{"n":12}`},
		{name: "times", in: "n\n2013-01-01T05:00:00Z\n", want: `{"n":"2013-01-01T05:00:00Z"}`},
		{name: "words for numbers", in: "x\n1\nfast\n", want: `{"x":1}`, failure: `line 3: column x: "fast" is not a number`},
		{name: "words for truth", in: "b\nmaybe\n", failure: `"maybe" is not true or false`},
		{name: "ragged", in: "x,s\n1\n", failure: "wrong number of fields"},
		{name: "binary", in: "\x00\x01\x02\x03\x04\x05", failure: "neither CSV nor JSON nor Parquet"},
		{name: "no whole parquet", in: "PAR1 and then nothing", failure: "rows.parquet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := all(t, c.in)
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if (err == nil) != (c.failure == "") || err != nil && !strings.Contains(err.Error(), c.failure) {
				t.Errorf("error %v, want %q", err, c.failure)
			}
		})
	}
}

func TestCompressed(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte("x\n1\n"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := all(t, b.String())
	if err != nil || strings.Join(got, " ") != `{"x":1}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.parquet")
	w, err := table.Create(path, table.Schema{{Name: "s", Type: table.String}, {Name: "t", Type: table.Timestamp}, {Name: "x", Type: table.Float}})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write(&table.Batch{Rows: 2, Columns: []table.Vector{
		{Strings: []string{"a", "b"}}, {Ints: []int64{0, 1_500_000}}, {Floats: []float64{1.5, 0}, Nulls: []bool{false, true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	canonical, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// And one with the types of another program.
	type other struct {
		S string  `parquet:"s"`
		N int32   `parquet:"n"`
		F float32 `parquet:"f"`
	}
	var foreign bytes.Buffer
	if err := parquet.Write(&foreign, []other{{"a", 7, 0.5}}); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		string(canonical): `{"s":"a","t":"1970-01-01T00:00:00Z","x":1.5} {"s":"b","t":"1970-01-01T00:00:01.5Z","x":null}`,
		foreign.String():  `{"f":0.5,"n":7,"s":"a"}`,
	} {
		got, err := all(t, in)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// FuzzRead: whatever comes in, rows are JSON objects or there is an error.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "{}", `[{"x":1}]`, "x,n\n1,2\n", "a;b\n1;2", "PAR1", "\x1f\x8b", `{"instances":[{}]}`, "x\n\"", "\ufeff{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for row, err := range rows.Read(t.Context(), bytes.NewReader(in), types) {
			if err != nil {
				return
			}
			var o map[string]any
			if err := json.Unmarshal(row, &o); err != nil {
				t.Fatalf("%q gives the row %q: %v", in, row, err)
			}
		}
	})
}
