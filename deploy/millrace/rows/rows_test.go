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
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// how is how columns of these names are read.
func how(names string) *duck.PrepareInput {
	types := map[string]table.Type{"x": table.Float, "n": table.Int, "s": table.String, "b": table.Bool, "t": table.Timestamp}
	in := &duck.PrepareInput{DropExtra: true}
	for name := range strings.FieldsSeq(names) {
		in.Columns = append(in.Columns, source.Column{Name: name, Rule: cell.Rule{Type: types[name]}})
	}
	return in
}

func all(t *testing.T, name, in string, how *duck.PrepareInput) (out []string, failure error) {
	t.Helper()
	for row, err := range rows.Read(t.Context(), strings.NewReader(in), name, how) {
		if err != nil {
			return out, err
		}
		out = append(out, string(row))
	}
	return out, nil
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, columns, file, in, want, failure string }{
		{name: "nothing", columns: "x"},
		{name: "spaces", columns: "x", in: " \n\t "},
		{name: "one object", columns: "x", in: "{\n\"x\": 1}", want: `{"x":1}`},
		{name: "lines", columns: "x", in: "{\"x\":1}\n{\"x\":2}\n", want: `{"x":1} {"x":2}`},
		{name: "list", columns: "x", in: `[{"x":1},{"x":2}]`, want: `{"x":1} {"x":2}`},
		{name: "instances", columns: "x", in: `{"instances": [{"x":1}]}`, want: `{"x":1}`},
		{name: "a column called instances", columns: "x", in: `{"instances": [1], "x": 2}`, want: `{"x":2}`},
		{name: "no object", columns: "x", in: `[1, 2]`, failure: "object 1 is not a JSON object but a number"},
		{name: "half", columns: "x", in: `{"x": 1}{"x"`, failure: "JSON"},
		{name: "missing and null", columns: "x n", in: `[{"x":1}, {"n": null}, {"n": 9007199254740993}]`, want: `{"n":null,"x":1} {"n":null,"x":null} {"n":9007199254740993,"x":null}`},
		{name: "csv", columns: "x n s b", in: "x,n,s,b\n1.5,7,007,TRUE\nNA,,,false\n", want: `{"b":true,"n":7,"s":"007","x":1.5} {"b":false,"n":null,"s":null,"x":null}`},
		{name: "csv with a mark and semicolons", columns: "x s", in: "\ufeffx;s\r\n2;\"a;b\"\r\n", want: `{"s":"a;b","x":2}`},
		{name: "tabs", columns: "x s", in: "x\ts\n2\tu\n", want: `{"s":"u","x":2}`},
		{name: "other columns", columns: "b t", in: "id,b,t\n1,Y,2024-01-05 10:00:00\nabc,n,2024-01-06\n", want: `{"b":true,"t":"2024-01-05T10:00:00Z"} {"b":false,"t":"2024-01-06T00:00:00Z"}`},
		{name: "whole floats", columns: "n b", in: "n,b\n12.0,1.0\n", want: `{"b":true,"n":12}`},
		{name: "microseconds", columns: "t", in: "t\n1357016400000000\n", failure: `line 2, column "t": "1357016400000000"`},
		{name: "by its name", columns: "s", file: "a.tsv", in: "s\n{}\n", want: `{"s":"{}"}`},
		{name: "all mistakes", columns: "x b", in: "x,b\n1,maybe\nfast,1\n", failure: `line 3, column "x": "fast" is not a number; correct the value, or leave it empty` + "\n" + `standard input: line 2, column "b": "maybe" is not true or false`},
		{name: "a column that is missing", columns: "x s", in: "x,z\n1,2\n", failure: "standard input: column is missing: s; the columns that are there: x, z"},
		{name: "ragged", columns: "x s", in: "x,s\n1\n", failure: "line 2 has 1 value"},
		{name: "binary", columns: "x", in: "\x00\x01\x02\x03\x04\x05", failure: "standard input: "},
		{name: "no whole parquet", columns: "x", in: "PAR1 and then nothing", failure: "the Parquet file is cut off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.file == "" {
				c.file = "standard input"
			}
			got, err := all(t, c.file, c.in, how(c.columns))
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
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte("x\n1\n"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := all(t, "standard input", b.String(), how("x"))
	if err != nil || strings.Join(got, " ") != `{"x":1}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestParquet(t *testing.T) {
	t.Parallel()
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
	for in, want := range map[string]struct{ columns, rows string }{
		string(canonical): {"s t x", `{"s":"a","t":"1970-01-01T00:00:00Z","x":1.5} {"s":"b","t":"1970-01-01T00:00:01.5Z","x":null}`},
		foreign.String():  {"n s", `{"n":7,"s":"a"}`},
	} {
		got, err := all(t, "standard input", in, how(want.columns))
		if err != nil || strings.Join(got, " ") != want.rows {
			t.Errorf("got %s, %v, want %s", got, err, want.rows)
		}
	}
}

// FuzzRead: whatever comes in, rows are JSON objects or there is an error.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "{}", `[{"x":1}]`, "x,n\n1,2\n", "a;b\n1;2", "PAR1", "\x1f\x8b", `{"instances":[{}]}`, "x\n\"", "\ufeff{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for row, err := range rows.Read(t.Context(), bytes.NewReader(in), "standard input", how("x n")) {
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

func TestExcel(t *testing.T) {
	t.Parallel()
	book, err := os.ReadFile("../../../shared/table/source/testdata/excel/column.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"new.xlsx", "standard input"} {
		got, err := all(t, name, string(book), how("n"))
		if err != nil || strings.Join(got, " ") != `{"n":1} {"n":null} {"n":null} {"n":4}` {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}
