package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/source"
)

// arrowField is a column and its values as JSON.
type arrowField struct {
	name string
	typ  arrow.DataType
	json string
}

// arrowBytes writes columns as an Arrow file or as a stream.
func arrowBytes(t testing.TB, stream bool, fields []arrowField, opts ...ipc.Option) []byte {
	t.Helper()
	var schema []arrow.Field
	var columns []arrow.Array
	for _, f := range fields {
		a, _, err := array.FromJSON(memory.DefaultAllocator, f.typ, strings.NewReader(f.json), array.WithUseNumber())
		if err != nil {
			t.Fatal(f.name, err)
		}
		schema, columns = append(schema, arrow.Field{Name: f.name, Type: f.typ, Nullable: true}), append(columns, a)
	}
	s := arrow.NewSchema(schema, nil)
	var b bytes.Buffer
	opts = append(opts, ipc.WithSchema(s))
	var w interface {
		Write(arrow.RecordBatch) error
		io.Closer
	} = ipc.NewWriter(&b, opts...)
	if !stream {
		b.Reset()
		file, err := ipc.NewFileWriter(&b, opts...)
		if err != nil {
			t.Fatal(err)
		}
		w = file
	}
	batch := array.NewRecordBatch(s, columns, int64(columns[0].Len()))
	for range 2 {
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readBytes reads a file of that name and returns the table's schema and rows.
func readBytes(t testing.TB, name string, content []byte, opts source.Options, lim source.Limits) ([]string, error) {
	t.Helper()
	dir := t.TempDir()
	path, out := filepath.Join(dir, "upload"), filepath.Join(dir, "out.parquet")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := source.Read(t.Context(), source.Source{Path: path, Name: name}, opts, lim, out)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 2 {
		t.Errorf("left behind: %v", left)
	}
	if err != nil {
		return nil, err
	}
	return tableLines(t, out), nil
}

func tableLines(t testing.TB, path string) []string {
	t.Helper()
	r, err := table.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := []string{r.Schema().String()}
	for {
		b, err := r.Next(1000)
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			var values []string
			for k, c := range b.Schema {
				v := b.Columns[k]
				switch {
				case v.Null(i):
					values = append(values, "-")
				case c.Type == table.Timestamp:
					values = append(values, time.UnixMicro(v.Ints[i]).UTC().Format(time.RFC3339Nano))
				case c.Type == table.String:
					values = append(values, v.Strings[i])
				case c.Type == table.Float:
					values = append(values, fmt.Sprint(v.Floats[i]))
				case c.Type == table.Bool:
					values = append(values, fmt.Sprint(v.Bools[i]))
				default:
					values = append(values, fmt.Sprint(v.Ints[i]))
				}
			}
			lines = append(lines, strings.Join(values, " "))
		}
	}
}

func columnsOf(text string) []source.Column {
	var s table.Schema
	for field := range strings.SplitSeq(text, ", ") {
		name, typ, _ := strings.Cut(field, " ")
		s = append(s, table.Column{Name: name, Type: table.Type(typ)})
	}
	return source.Columns(s)
}

var arrowTypes = []arrowField{
	{"b", arrow.FixedWidthTypes.Boolean, `[true, null]`},
	{"i8", arrow.PrimitiveTypes.Int8, `[-128, null]`},
	{"i64", arrow.PrimitiveTypes.Int64, `[9007199254740993, null]`},
	{"u64", arrow.PrimitiveTypes.Uint64, `[42, null]`},
	{"f32", arrow.PrimitiveTypes.Float32, `[1.5, null]`},
	{"f64", arrow.PrimitiveTypes.Float64, `[0.1, null]`},
	{"s", arrow.BinaryTypes.String, `["", null]`},
	{"ls", arrow.BinaryTypes.LargeString, `["NA", null]`},
	{"sv", arrow.BinaryTypes.StringView, `["longer than twelve bytes", null]`},
	{"bin", arrow.BinaryTypes.Binary, `["w7w=", null]`},
	{"cat", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, `["x", null]`},
	{"d32", arrow.FixedWidthTypes.Date32, `["2024-01-31", null]`},
	{"ts", &arrow.TimestampType{Unit: arrow.Second}, `["1969-12-31 23:59:59", null]`},
	{"tz", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Berlin"}, `["2024-01-31 06:00:00.123456789", null]`},
	{"dec", &arrow.Decimal128Type{Precision: 20, Scale: 2}, `["1234567890123456.25", null]`},
	{"dec0", &arrow.Decimal256Type{Precision: 38, Scale: 0}, `["9223372036854775807", null]`},
	{"at", arrow.FixedWidthTypes.Time64us, `["06:30:00.5", null]`},
	{"none", arrow.Null, `[null, null]`},
}

func TestArrow(t *testing.T) {
	t.Parallel()
	want := []string{
		"b bool, i8 int, i64 int, u64 int, f32 float, f64 float, s string, ls string, sv string, bin string, cat string, d32 timestamp, ts timestamp, tz timestamp, dec float, dec0 int, at string, none string",
		"true -128 9007199254740993 42 1.5 0.1  NA longer than twelve bytes ü x 2024-01-31T00:00:00Z 1969-12-31T23:59:59Z 2024-01-31T06:00:00.123456Z 1.23456789012345625e+15 9223372036854775807 06:30:00.5 -",
		"- - - - - - - - - - - - - - - - - -",
	}
	want[1] = strings.Replace(want[1], "1.23456789012345625e+15", fmt.Sprint(1234567890123456.25), 1)
	want = append(want, want[1:]...)
	for name, content := range map[string][]byte{
		"a.arrow":   arrowBytes(t, false, arrowTypes),
		"a.FEATHER": arrowBytes(t, false, arrowTypes, ipc.WithZstd()),
		"a.arrows":  arrowBytes(t, true, arrowTypes),
		"a.ipc":     arrowBytes(t, true, arrowTypes, ipc.WithLZ4()),
	} {
		got, err := readBytes(t, name, content, source.Options{}, source.Limits{})
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	typed := source.Options{Columns: columnsOf("ts string, i8 float, cat string"), Extra: source.Drop}
	typed.Columns = append(typed.Columns, source.Column{Name: "d32", Rule: cell.Rule{Type: table.Timestamp, Zone: time.FixedZone("x", 3600)}})
	got, err := readBytes(t, "a.arrow", arrowBytes(t, false, arrowTypes), typed, source.Limits{})
	if err != nil || got[0] != "ts string, i8 float, cat string, d32 timestamp" || got[1] != "1969-12-31 23:59:59 -128 x 2024-01-30T23:00:00Z" {
		t.Errorf("by the contract: %v, %v", got, err)
	}
}

func TestArrowRefused(t *testing.T) {
	t.Parallel()
	whole := arrowBytes(t, false, arrowTypes)
	stream := arrowBytes(t, true, arrowTypes)
	ints := []arrowField{{"x", arrow.PrimitiveTypes.Int64, "[1, 2]"}}
	for name, test := range map[string]struct {
		name    string
		content []byte
		opts    source.Options
		lim     source.Limits
		want    string
	}{
		"cut off":        {name: "a.arrow", content: whole[:len(whole)-20], want: "a.arrow: the Arrow file is cut off: its end is missing"},
		"stream cut off": {name: "a.arrows", content: stream[:len(stream)-8], want: "a.arrows: the Arrow stream is cut off"},
		"too short":      {name: "a.arrow", content: []byte("ARROW1"), want: "too short to be an Arrow file"},
		"parquet":        {name: "a.arrow", content: []byte("PAR1 and more than that"), want: "its name says Arrow, but it is a Parquet file: name it .parquet"},
		"feather 1":      {name: "a.feather", content: []byte("FEA1 and more than that"), want: "Feather version 1"},
		"named text":     {name: "a.csv", content: whole, want: "its name says text, but it is an Arrow file: name it .arrow"},
		"damaged":        {name: "a.arrow", content: append(append([]byte("ARROW1\x00\x00"), bytes.Repeat([]byte{7}, 100)...), "ARROW1"...), want: "the Arrow file is damaged"},
		"list": {name: "a.arrow", content: arrowBytes(t, false, []arrowField{
			{"l", arrow.ListOf(arrow.PrimitiveTypes.Int64), "[[1]]"}, {"m", arrow.FixedWidthTypes.Duration_s, "[1]"}, {"x", arrow.PrimitiveTypes.Int64, "[1]"},
		}), want: `column "l" is list<item: int64, nullable>, and a column has to be string, int, float, bool or timestamp; column "m" is duration[s]`},
		"wide decimal": {name: "a.arrow", content: arrowBytes(t, false, []arrowField{{"d", &arrow.Decimal256Type{Precision: 39}, `["1"]`}}), want: `column "d" is decimal256(39, 0)`},
		"binary":       {name: "a.arrow", content: arrowBytes(t, false, []arrowField{{"b", arrow.BinaryTypes.Binary, `["YQ==", "/w=="]`}}), want: `row 2, column "b": the value is not text in UTF-8`},
		"twice":        {name: "a.arrow", content: arrowBytes(t, false, append(ints, ints...)), want: `two columns called "x"`},
		"no rows":      {name: "a.arrow", content: arrowBytes(t, false, []arrowField{{"x", arrow.PrimitiveTypes.Int64, "[]"}}), want: "it has no rows"},
		"rows":         {name: "a.arrow", content: arrowBytes(t, false, ints), lim: source.Limits{Rows: 3}, want: "more than the 3 rows"},
		"bytes": {name: "a.arrow", lim: source.Limits{Bytes: 20_000}, want: "uncompressed, one of its batches has more than the 19.53 KiB",
			content: arrowBytes(t, false, []arrowField{{"x", arrow.PrimitiveTypes.Int64, "[" + strings.Repeat("0, ", 9999) + "0]"}}, ipc.WithZstd())},
		"values": {name: "a.arrow", content: arrowBytes(t, false, []arrowField{{"x", arrow.BinaryTypes.String, `["1", "?"]`}}), opts: source.Options{Columns: columnsOf("x int")},
			want: `row 2, column "x": "?" is not a whole number`},
		"missing": {name: "a.arrow", content: arrowBytes(t, false, ints), opts: source.Options{Columns: columnsOf("x int, y int")}, want: "column is missing: y"},
	} {
		_, err := readBytes(t, test.name, test.content, test.opts, test.lim)
		if table.Unreadables(err) == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// Whatever the bytes, a file is read whole or refused with a sentence.
func FuzzArrow(f *testing.F) {
	f.Add(arrowBytes(f, false, arrowTypes))
	f.Add(arrowBytes(f, true, arrowTypes, ipc.WithZstd()))
	f.Add(arrowBytes(f, true, arrowTypes[:3]))
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) == 0 {
			return
		}
		if _, err := readBytes(t, "a.arrow", content, source.Options{}, source.Limits{Bytes: 1 << 20, Rows: 1000}); err != nil && table.Unreadables(err) == nil {
			t.Fatalf("%v is not about the file", err)
		}
	})
}
