package duck_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// columns makes columns of "name type" pairs.
func columns(pairs ...string) []source.Column {
	var s table.Schema
	for _, p := range pairs {
		name, typ, _ := strings.Cut(p, " ")
		s = append(s, table.Column{Name: name, Type: table.Type(typ)})
	}
	return source.Columns(s)
}

// TestReadWhole holds files that other readers lose something of: they are read
// whole, or refused with a sentence.
func TestReadWhole(t *testing.T) {
	leaves(t)
	keys := make([]string, 300)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"f%d": %d.5`, i, i)
	}
	wide := "{" + strings.Join(keys, ", ") + "}\n"
	keep := columns("cc string", "x int")
	keep[0].Rule.Keep = []string{"NA"}
	tests := map[string]struct {
		name, content string
		columns       []source.Column
		drop          bool
		want          string // the table, or the error if it begins with the name
	}{
		"rows that begin with #":     {name: "a.csv", content: "a,b\n#1,1\nx,2\n#3,3\n", columns: columns("a string", "b int"), want: lines("a string, b int", "#1 1", "x 2", "#3 3")},
		"rows above a wider row":     {name: "a.csv", content: "a,b\n1,1\n2,2\na,b,c\n3,3,3\n", columns: columns("a int", "b int"), drop: true, want: "a.csv: line 4 has 3 values, and the header has 2 columns (2 of 4 rows are wrong; others: 5); put values that contain the separator into double quotes"},
		"lines below a quoted break": {name: "a.csv", content: "a,b\r\n\"x\r\ny\rz\",1\r\n\"\n\",bad\r\n", columns: columns("a string", "b int"), want: `a.csv: line 5, column "b": "bad" is not a whole number; correct the value, or leave it empty`},
		"line ends of all kinds":     {name: "a.csv", content: "a,b\r1,2\n3,4\r\n5,6\r\r\n\n7,8", columns: columns("a int", "b int"), want: lines("a int, b int", "1 2", "3 4", "5 6", "7 8")},
		"breaks inside values":       {name: "a.csv", content: "a,b\n\"1\r\n2\",2\n", columns: columns("a string", "b int"), want: lines("a string, b int", "1\r\n2 2")},
		"empty lines of one column":  {name: "a.csv", content: "a\n1\n\n2\n\"\"\n", columns: columns("a int"), want: lines("a int", "1", "-", "2", "-")},
		"whole numbers beyond 2^53":  {name: "a.csv", content: "id\n9007199254740993\n1.0\n-9.007199254740993e15\n9223372036854775807\n-9223372036854775808\n", columns: columns("id int"), want: lines("id int", "9007199254740993", "1", "-9007199254740993", "9223372036854775807", "-9223372036854775808")},
		"the same in JSON":           {name: "a.jsonl", content: "{\"id\": 9007199254740993}\n{\"id\": 1.0}\n{\"id\": \"9007199254740995\"}\n", columns: columns("id int"), want: lines("id int", "9007199254740993", "1", "9007199254740995")},
		"numbers beyond 64 bits":     {name: "a.csv", content: "id\n9223372036854775808\n1e400\n0.5\n", columns: columns("id int"), want: `a.csv: line 2, column "id": "9223372036854775808" is too large for a whole number of 64 bits (3 of 3 values are wrong; others: 3, 4); use a string column`},
		"two faults":                 {name: "a.csv", content: "a,b\nx,1\n1,maybe\nz,0\n", columns: columns("a int", "b bool"), want: "a.csv: line 2, column \"a\": \"x\" is not a whole number (2 of 3 values are wrong; others: 4); correct the value, or leave it empty\na.csv: line 3, column \"b\": \"maybe\" is not true or false"},
		"a name twice":               {name: "a.csv", content: "a,a,a_1\n1,2,3\n", columns: columns("a int", "a_1 int"), want: `a.csv: line 1: the header has "a" twice, as column 1 and 2; give every column a name of its own`},
		"no name":                    {name: "a.csv", content: ",column0,x\n1,9,2\n", columns: columns("column0 int"), drop: true, want: "a.csv: line 1: column 1 of the header has no name; name every column"},
		"names by case":              {name: "a.csv", content: "id,ID,x\n1,2,3\n", columns: columns("ID int"), drop: true, want: lines("ID int", "2")},
		"names with spaces":          {name: "a.csv", content: "a ,b\n1,2\n", columns: columns("a int"), drop: true, want: "a.csv: column is missing: a; the columns that are there: a , b"},
		"300 keys":                   {name: "a.jsonl", content: wide + wide, columns: columns("f299 float", "f0 float"), drop: true, want: lines("f299 float, f0 float", "299.5 0.5", "299.5 0.5")},
		"a key that comes late":      {name: "a.jsonl", content: strings.Repeat(`{"a": 1}`+"\n", 1500) + `{"a": 1, "b": 2}` + "\n", columns: columns("b int"), drop: true, want: lines("b int") + strings.Repeat("\n-", 1500) + "\n2"},
		"a key that never comes":     {name: "a.jsonl", content: `{"a": 1}` + "\n", columns: columns("b int"), drop: true, want: "a.jsonl: column is missing: b; the columns that are there: a"},
		"a key twice":                {name: "a.jsonl", content: "{\"x\": 1}\n{\"x\": 1, \"\\u0078\": 2}\n", columns: columns("x int"), want: `a.jsonl: line 2 has the key "x" twice; give every value a key of its own`},
		"half a character":           {name: "a.jsonl", content: `{"x": "\ud83d"}`, columns: columns("x string"), want: `a.jsonl: line 1 is not a JSON object: a surrogate (\ud800 to \udfff) stands alone, which is not a character; write one JSON object a line`},
		"a byte order mark":          {name: "a.jsonl", content: "\ufeff{\"x\": 1}\n", columns: columns("x int"), want: lines("x int", "1")},
		"NaN as Python writes it":    {name: "a.jsonl", content: "{\"x\": NaN, \"s\": \"NaN\"}\n{\"s\": \"\\\"NaN\", \"x\": 1}\n", columns: columns("x float", "s string"), want: lines("x float, s string", "- NaN", `1 "NaN`)},
		"infinity":                   {name: "a.jsonl", content: "{\"x\": -Infinity}\n", columns: columns("x float"), want: `a.jsonl: line 1, column "x": "-Infinity" is not a finite number; correct the value, leave it empty, or list it in data.csv.null`},
		"infinity in CSV":            {name: "a.csv", content: "x\ninf\n", columns: columns("x float"), want: `a.csv: line 2, column "x": "inf" is not a finite number; correct the value, leave it empty, or list it in data.csv.null`},
		"words that are values":      {name: "a.csv", content: "cc,x\nNA,1\n\"NA\",NA\n,\"NA\"\n\"\",3\n", columns: keep, want: lines("cc string, x int", "NA 1", "NA -", "- -", " 3")},
		"words that are not":         {name: "a.csv", content: "cc,x\nNA,1\n\"NA\",2\nN/A,3\n", columns: columns("cc string", "x int"), want: lines("cc string, x int", "- 1", "NA 2", "N/A 3")},
		"an array of objects":        {name: "a.JSON", content: "[{\"x\": 1},\n {\"x\": 2}]\n", columns: columns("x int"), want: lines("x int", "1", "2")},
		"a broken array":             {name: "a.json", content: "[{\"x\": 1}, {\"x\": ", columns: columns("x int"), want: "a.json: object 2 is not a JSON object: it ends too early; write one JSON object a line"},
		"tabs in another case":       {name: "A.TSV", content: "a,b\tc\n1\t2\n", columns: columns("c int"), drop: true, want: lines("c int", "2")},
		"JSON under the name CSV":    {name: "a.csv", content: `{"id": 1, "x": 2.5}`, columns: columns("id int"), want: "a.csv: line 1 is JSON, and the name says csv; name it .jsonl, or .json"},
		"a workbook as CSV":          {name: "a.csv", content: "PK\x03\x04\x14\x00", columns: columns("id int"), want: "a.csv: its name says text, but it is a zip archive or an Excel workbook: name it .zip or .xlsx"},
		"UTF-16":                     {name: "a.csv", content: "\xff\xfea\x00\n\x00", columns: columns("a int"), want: "a.csv: it is UTF-16; save the file as text in UTF-8, or state data.csv.encoding: utf-16"},
		"a quote after a space":      {name: "a.csv", content: "a,b\n1, \"x\"\n", columns: columns("a int", "b string"), want: "a.csv: line 2: a space stands before a quote, which then does not open a value; remove the space"},
		"text after a quote":         {name: "a.csv", content: "a,b\n\"1\"2,x\n", columns: columns("a int", "b string"), want: "a.csv: line 2: text follows the quote that closes a value; write a double quote inside a value twice"},
		"inches":                     {name: "a.csv", content: "a,b\n5\" pipe,1\n", columns: columns("a string", "b int"), want: lines("a string, b int", `5" pipe 1`)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := convert(t, file(t, test.name, test.content), &duck.PrepareInput{Columns: test.columns, DropExtra: test.drop}, duck.Limits{})
			if err != nil {
				if _ = unreadable(t, err); err.Error() != test.want && !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("got  %s\nwant %s", err, test.want)
				}
				return
			}
			if got := text(t, out); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestSameInEveryFormat writes values as CSV, as JSON and as Parquet: a column
// accepts the same in each, and makes the same of it.
func TestSameInEveryFormat(t *testing.T) {
	leaves(t)
	values := []string{
		"1", "0", "-1", "+2", "1.0", "1.5", "1e3", ".5", "5.", "007", "9007199254740993", "9223372036854775808", "1e400", "-0", "1_000", "0x10", "1,5", "1 000",
		"true", "FALSE", "t", "yes", "N", "on", "NaN", "nan", "inf", "-Infinity", "NA", "null", "None", "2024-01-31", "2024-01-31 06:00", "2024-01-31T06:00:00.123456789+01:00",
		"2024-02-30", "31/01/2024", "01/02/2024", "20240131", "2024-1-31", "24:00", "x", " 1 ", "é",
	}
	for _, typ := range []table.Type{table.String, table.Int, table.Float, table.Bool, table.Timestamp} {
		for _, value := range values {
			in := &duck.PrepareInput{Columns: columns("v " + string(typ))}
			csv := file(t, "a.csv", "v\n\""+value+"\"\n")
			json := file(t, "a.jsonl", fmt.Sprintf("{\"v\": %q}\n", value))
			pq := parquet(t, "SELECT '"+value+"' AS v")
			var got []string
			for _, path := range []string{csv, json, pq} {
				out, _, err := convert(t, path, in, duck.Limits{})
				if err != nil {
					_, reason, _ := strings.Cut(unreadable(t, err).Reason, "column")
					got = append(got, reason)
					continue
				}
				got = append(got, text(t, out))
			}
			if got[0] != got[1] || got[0] != got[2] {
				t.Errorf("%s %q:\nCSV     %s\nJSON    %s\nParquet %s", typ, value, got[0], got[1], got[2])
			}
		}
	}
}

func TestCompressed(t *testing.T) {
	const content = "a\n1\n2\n"
	pack := func(name string, w io.WriteCloser, b *bytes.Buffer) string {
		t.Helper()
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return file(t, name, b.String())
	}
	var zst, x, z, two bytes.Buffer
	zw, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	archive := func(b *bytes.Buffer, names ...string) {
		w := zip.NewWriter(b)
		for _, name := range names {
			f, err := w.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(f, content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	archive(&z, "folder/b.csv", "__MACOSX/._b.csv")
	archive(&two, "a.csv", "b.csv")
	// What bzip2 makes of the content.
	bz2 := "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\xc6\xf7\x35\xbd\x00\x00\x02\xc9\x00\x00\x10\x30\x00\x20\x00\x20\x00\x21\x9a\x68\x33\x4d\x1c\xb7\x8b\xb9\x22\x9c\x28\x48\x63\x7b\x9a\xde\x80"
	for name, path := range map[string]string{"zst": pack("a.csv.zst", zw, &zst), "xz": pack("a.CSV.XZ", xw, &x), "zip": file(t, "a.zip", z.String()), "csv.zip": file(t, "a.csv.zip", z.String()), "bz2": file(t, "a.csv.bz2", bz2)} {
		t.Run(name, func(t *testing.T) {
			out, _, err := convert(t, path, &duck.PrepareInput{Columns: columns("a int")}, duck.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, out); got != lines("a int", "1", "2") {
				t.Errorf("got %s", got)
			}
		})
	}
	_, _, err = convert(t, file(t, "two.zip", two.String()), nil, duck.Limits{})
	if u := unreadable(t, err); u.Reason != "the zip archive has 2 files, and must have one" {
		t.Errorf("got %v", u)
	}
	_, _, err = convert(t, file(t, "cut.csv.zst", zst.String()[:zst.Len()-3]), nil, duck.Limits{})
	if u := unreadable(t, err); !strings.Contains(u.Reason, "zstd file") {
		t.Errorf("got %v", u)
	}
}

// TestParquetExactly reads types whose values other readers round.
func TestParquetExactly(t *testing.T) {
	leaves(t)
	tests := map[string]struct {
		query   string
		columns []source.Column
		want    string
	}{
		"decimals":        {"SELECT 12345678901234567890.25::DECIMAL(38,2) AS d", columns("d string"), lines("d string", "12345678901234567890.25")},
		"a whole decimal": {"SELECT 9007199254740993::DECIMAL(20,0) AS d", columns("d int"), lines("d int", "9007199254740993")},
		"hugeint sums":    {"SELECT 9007199254740993::UBIGINT AS d", columns("d int"), lines("d int", "9007199254740993")},
		"nulls of a type": {"SELECT NULL AS d, 1 AS e", columns("d float", "e int"), lines("d float, e int", "- 1")},
		"NaN":             {"SELECT 'NaN'::DOUBLE AS d", columns("d float"), lines("d float", "-")},
		"infinity":        {"SELECT 'inf'::DOUBLE AS d", columns("d float"), `made.parquet: row 1, column "d": "+Inf" is not a finite number; correct the value, leave it empty, or list it in data.csv.null`},
		"binary text":     {"SELECT encode('é') AS d", columns("d string"), lines("d string", "é")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := convert(t, parquet(t, test.query), &duck.PrepareInput{Columns: test.columns}, duck.Limits{})
			if err != nil {
				if u := unreadable(t, err); u.Error() != test.want {
					t.Errorf("got  %s\nwant %s", u, test.want)
				}
				return
			}
			if got := text(t, out); got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
	// A sum of whole numbers is beyond 64 bits in DuckDB, and exact here.
	out, _, err := convert(t, file(t, "a.csv", "n\n9007199254740992\n1\n"), &duck.PrepareInput{SQL: "SELECT sum(n::BIGINT) AS total FROM upload", Columns: columns("total int")}, duck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, out); got != lines("total int", "9007199254740993") {
		t.Errorf("got %s", got)
	}
}

// TestPrepareSeesText shows that a statement sees the same types in every file.
func TestPrepareSeesText(t *testing.T) {
	leaves(t)
	contract := columns("smoker string", "price float", "day timestamp")
	const query = "SELECT s AS smoker, CAST(replace(p, ',', '.') AS DOUBLE) AS price, day FROM upload"
	for content, want := range map[string]string{
		"s;p;day\nyes;1,5;2024-01-01\n":                "yes 1.5 2024-01-01T00:00:00Z",
		"s;p;day\nT;2;2024-01-01 10:00\n":              "T 2 2024-01-01T10:00:00Z",
		"s;p;day\n12345678901234567890;2;2024-01-01\n": "12345678901234567890 2 2024-01-01T00:00:00Z",
	} {
		out, _, err := convert(t, file(t, "a.csv", content), &duck.PrepareInput{SQL: query, Columns: contract}, duck.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, out); got != lines("smoker string, price float, day timestamp", want) {
			t.Errorf("%q: got %s", content, got)
		}
	}
}

// TestWide reads 5,000 columns; deploy/bench/data measures it with ten times the rows.
func TestWide(t *testing.T) {
	leaves(t)
	const width, rows = 5000, 100
	var s table.Schema
	var b strings.Builder
	for i := range width {
		s = append(s, table.Column{Name: fmt.Sprintf("f%d", i), Type: table.Float})
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s[i].Name)
	}
	for r := range rows {
		for i := range width {
			b.WriteByte(",\n"[min(1, max(0, 1-i))])
			fmt.Fprintf(&b, "%d.%d", i, r)
		}
	}
	path := file(t, "a.csv", b.String())
	out := filepath.Join(t.TempDir(), "out.parquet")
	done, err := duck.Convert(t.Context(), duck.Source{Path: path, Name: "a.csv"}, &duck.PrepareInput{Columns: source.Columns(s)}, out, duck.Limits{})
	if err != nil || done.Rows != rows {
		t.Fatalf("got %+v, %v", done, err)
	}
	r, err := table.Open(out, []string{"f4999"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	batch, err := r.Next(rows)
	if err != nil || batch.Columns[0].Floats[7] != 4999.7 {
		t.Errorf("got %v, %v", batch, err)
	}
}
