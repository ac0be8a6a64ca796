package duck_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

func TestConvert(t *testing.T) {
	leaves(t)
	contract := table.Schema{{Name: "zip", Type: table.String}, {Name: "n", Type: table.Int}, {Name: "x", Type: table.Float}, {Name: "ok", Type: table.Bool}, {Name: "at", Type: table.Timestamp}}
	inOrder := lines(
		"zip string, n int, x float, ok bool, at timestamp",
		"01234 3 1 true 2013-01-01T05:00:00Z",
		"99999 - 2.5 false 2013-01-02T00:00:00Z",
	)
	tests := map[string]struct {
		path string
		prep *duck.PrepareInput
		want string
	}{
		"csv as it is": {
			file(t, "a.csv", "a,b,c,d\n1,x,1.5,2013-01-01T10:00:00Z\nNA,,2,NaN\n3,null,NULL,2013-01-01 12:30:00\n"), nil,
			lines("a int, b string, c float, d timestamp", "1 x 1.5 2013-01-01T10:00:00Z", "- - 2 -", "3 - - 2013-01-01T12:30:00Z"),
		},
		"csv to a contract": {
			file(t, "a.csv", "at,extra,n,ok,x,zip\n2013-01-01T06:00:00+01:00,9,3.0,1,1,01234\n2013-01-02,9,,0,2.5,99999\n"),
			&duck.PrepareInput{Columns: source.Columns(contract), DropExtra: true}, inOrder,
		},
		"semicolons, quotes and line breaks": {
			file(t, "a.csv", "a;b\r\n1;\"x; y\"\r\n2;\"two\nlines, \"\"quoted\"\"\"\r\n"), nil,
			lines("a int, b string", "1 x; y", "2 two", `lines, "quoted"`),
		},
		"tsv":                              {file(t, "a.tsv", "a\tb\n1\tx y\n"), nil, lines("a int, b string", "1 x y")},
		"gzip":                             {gzipped(t, "a.csv.gz", "a,b\n", "1,x\n", 3), nil, lines("a int, b string", "1 x", "1 x", "1 x")},
		"one column and a byte order mark": {file(t, "a.csv", "\ufeffa\n1\n2\n"), nil, lines("a int", "1", "2")},
		"json lines": {
			file(t, "a.jsonl", `{"zip": "01234", "n": 3, "x": 1, "ok": true, "at": "2013-01-01T06:00:00+01:00"}`+"\n"+`{"at": "2013-01-02T00:00:00Z", "x": 2.5, "ok": false, "zip": "99999"}`+"\n"),
			&duck.PrepareInput{Columns: source.Columns(contract)}, inOrder,
		},
		"gzipped json lines": {gzipped(t, "a.ndjson.gz", "", `{"a": 1, "b": "2013-01-01T00:00:00Z"}`+"\n", 2), nil, lines("a int, b timestamp", "1 2013-01-01T00:00:00Z", "1 2013-01-01T00:00:00Z")},
		"json keeps text that looks like a time": {
			file(t, "a.jsonl", `{"a": "2013-01-01T06:00:00+01:00"}`),
			&duck.PrepareInput{Columns: source.Columns(table.Schema{{Name: "a", Type: table.String}})}, lines("a string", "2013-01-01T06:00:00+01:00"),
		},
		"parquet of other types": {
			parquet(t, `SELECT 1::INTEGER AS i, 2::UTINYINT AS u, 1.5::FLOAT AS f, 2.25::DECIMAL(9,2) AS d, 7::DECIMAL(9,0) AS w, DATE '2013-01-01' AS day,
				TIMESTAMP_NS '2013-01-01 00:00:00.123456789' AS ns, TIMESTAMP '2013-01-01 10:00:00' AS ts, 'NaN'::DOUBLE AS nan, 12::HUGEINT AS h, TIME '10:30:00' AS clock,
				'x'::ENUM ('x', 'y') AS e, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID AS id`), nil,
			lines("i int, u int, f float, d float, w int, day timestamp, ns timestamp, ts timestamp, nan float, h float, clock string, e string, id string",
				"1 2 1.5 2.25 7 2013-01-01T00:00:00Z 2013-01-01T00:00:00.123456Z 2013-01-01T10:00:00Z - 12 10:30:00 x a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
		},
		"columns of nothing": {
			file(t, "a.csv", "a,b\n1,\n2,\n"),
			&duck.PrepareInput{Columns: source.Columns(table.Schema{{Name: "b", Type: table.Float}, {Name: "a", Type: table.Bool}})}, "",
		},
		"types that only the end of the file tells": {
			file(t, "a.csv", "a,b\n"+strings.Repeat("1,1\n", 50_000)+"x,1.5\n"),
			&duck.PrepareInput{SQL: "SELECT a, b FROM upload WHERE b > 1"}, lines("a string, b float", "x 1.5"),
		},
		"quoted numbers": {file(t, "a.csv", "\"a\",\"b\"\n\"1\",\"\"\n\"2\",\"3\"\n"), nil, lines("a int, b int", "1 -", "2 3")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, done, err := convert(t, test.path, test.prep, duck.Limits{})
			if test.want == "" { // a is 2, which is no bool
				if u := unreadable(t, err); u.Line != 3 || u.Column != "a" {
					t.Errorf("got %v", u)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, out); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			info, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			if want, _, _ := strings.Cut(test.want, "\n"); done.Schema.String() != want || done.Bytes != info.Size() || !strings.HasPrefix(done.Digest, "sha256:") {
				t.Errorf("announced %+v", done)
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	leaves(t)
	contract := table.Schema{{Name: "carrier", Type: table.String}, {Name: "late", Type: table.Bool}}
	upload := file(t, "a.csv", "id,carrier,delay\n1,AA,20\n2,ZZ,3\n3,UA,\n")
	before, _, err := convert(t, file(t, "b.csv", "carrier,late\nUA,true\n"), &duck.PrepareInput{Columns: source.Columns(contract)}, duck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	names := file(t, "names.csv", "code,name\nAA,American\nUA,United\n")
	nested := file(t, "codes.json", `[{"code": "AA"}, {"code": "ZZ"}]`)
	tests := map[string]struct {
		prep duck.PrepareInput
		want string
	}{
		"select":           {duck.PrepareInput{SQL: "SELECT carrier, delay::INT > 15 AS late FROM upload -- the question\n;", Columns: source.Columns(contract)}, lines("carrier string, late bool", "AA true", "ZZ false", "UA -")},
		"casts":            {duck.PrepareInput{SQL: "SELECT carrier, CASE WHEN delay::INT > 15 THEN 1 ELSE 0 END AS late FROM upload", Columns: source.Columns(contract)}, lines("carrier string, late bool", "AA true", "ZZ false", "UA false")},
		"table":            {duck.PrepareInput{SQL: "SELECT name AS carrier FROM upload JOIN names ON carrier = code ORDER BY id", Tables: map[string]string{"names": names}}, lines("carrier string", "American", "United")},
		"json table":       {duck.PrepareInput{SQL: "SELECT carrier FROM upload SEMI JOIN codes ON carrier = code", Tables: map[string]string{"codes": nested}}, lines("carrier string", "AA", "ZZ")},
		"no dataset yet":   {duck.PrepareInput{SQL: "WITH new AS (SELECT carrier, true AS late FROM upload) SELECT * FROM new ANTI JOIN dataset USING (carrier)", Columns: source.Columns(contract)}, lines("carrier string, late bool", "AA true", "ZZ true", "UA true")},
		"what is new":      {duck.PrepareInput{SQL: "SELECT carrier, true AS late FROM upload WHERE carrier NOT IN (SELECT carrier FROM dataset)", Columns: source.Columns(contract), Dataset: []string{before, before}}, lines("carrier string, late bool", "AA true", "ZZ true")},
		"aggregates":       {duck.PrepareInput{SQL: "SELECT count(*) AS n, sum(delay) AS total, avg(delay) AS mean FROM upload"}, lines("n int, total int, mean float", "3 23 11.5")},
		"extra is dropped": {duck.PrepareInput{SQL: "SELECT *, true AS late FROM upload", Columns: source.Columns(contract), DropExtra: true}, lines("carrier string, late bool", "AA true", "ZZ true", "UA true")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := convert(t, upload, &test.prep, duck.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, out); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
	rejected := map[string]struct {
		prep duck.PrepareInput
		want string
	}{
		"unknown column": {duck.PrepareInput{SQL: "SELECT carier FROM upload"}, `prepare: Referenced column "carier" not found in FROM clause!; candidate bindings: "carrier"; correct the statement, or the data it reads`},
		"syntax":         {duck.PrepareInput{SQL: "SELECT\n  carrier,,\nFROM upload"}, `prepare: syntax error at or near "," (line 2); correct the statement`},
		"missing column": {duck.PrepareInput{SQL: "SELECT carrier FROM upload", Columns: source.Columns(contract)}, "prepare: column is missing: late; the columns that are there: carrier"},
		"no rows":        {duck.PrepareInput{SQL: "SELECT * FROM upload WHERE delay > 100"}, "prepare: no rows are left of a.csv; check the conditions of the statement"},
		"a bad cast":     {duck.PrepareInput{SQL: "SELECT carrier::INT AS n FROM upload"}, "prepare: Could not convert string 'AA' to INT32 when casting from source column carrier; correct the statement, or the data it reads"},
		"a bad contract": {duck.PrepareInput{SQL: "SELECT carrier AS late FROM upload", Columns: source.Columns(contract[1:])}, `a.csv: row 1 of what prepare returns, column "late": "AA" is not true or false (3 of 3 values are wrong; others: 2, 3); correct the value, or leave it empty`},
		"a bad table":    {duck.PrepareInput{SQL: "SELECT * FROM upload", Tables: map[string]string{"names": file(t, "names.xls", "x")}}, `prepare: table "names" cannot be read: its name ends neither in .csv, .tsv, .json, .jsonl, .ndjson nor .parquet; correct the file beside the pipeline file`},
		"a list":         {duck.PrepareInput{SQL: "SELECT list(carrier) AS all_of_them, 1 AS n FROM upload"}, `prepare: column "all_of_them" is VARCHAR[], and a column has to be string, int, float, bool or timestamp; leave these columns out, or convert them before`},
	}
	for name, test := range rejected {
		t.Run(name, func(t *testing.T) {
			_, _, err := convert(t, upload, &test.prep, duck.Limits{})
			if u := unreadable(t, err); u.Error() != test.want {
				t.Errorf("got  %s\nwant %s", u, test.want)
			}
		})
	}
}

func TestConvertIsDeterministic(t *testing.T) {
	var b strings.Builder
	b.WriteString("i,k,x,s\n")
	for i := range 130_000 {
		fmt.Fprintf(&b, "%d,%d,%g,name-%d\n", i, i*7919%1000, float64(i%977)/7, i%50_000)
	}
	path := file(t, "a.csv", b.String())
	for name, prep := range map[string]*duck.PrepareInput{
		"csv":     nil,
		"grouped": {SQL: "SELECT k, sum(x) AS total, count(DISTINCT s) AS names FROM upload GROUP BY k"},
		"joined":  {SQL: "SELECT a.i, b.x FROM upload a JOIN upload b ON a.k = b.i WHERE a.x > 100"},
	} {
		t.Run(name, func(t *testing.T) {
			digests := map[string]bool{}
			for _, threads := range []int{1, 4} {
				out, done, err := convert(t, path, prep, duck.Limits{Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				digests[done.Digest] = true
				if name == "csv" { // the digest is the file's, and rows are in order
					if p, err := table.ProfileFile(t.Context(), out); err != nil || p.Rows != 130_000 || p.Column("x").Nulls != 0 {
						t.Fatalf("got %+v, %v", p, err)
					}
					inOrder(t, out)
				}
			}
			if len(digests) != 1 {
				t.Errorf("got %d digests", len(digests))
			}
		})
	}
}

func inOrder(t *testing.T, path string) {
	t.Helper()
	r, err := table.Open(path, []string{"i"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for want := int64(0); ; {
		b, err := r.Next(10_000)
		if err != nil {
			return
		}
		for _, i := range b.Columns[0].Ints {
			if i != want {
				t.Fatalf("row %d is where row %d belongs", i, want)
			}
			want++
		}
	}
}

func TestBadInput(t *testing.T) {
	leaves(t)
	contract := &duck.PrepareInput{Columns: source.Columns(table.Schema{{Name: "carrier", Type: table.String}, {Name: "hour", Type: table.Int}, {Name: "temp", Type: table.Float}, {Name: "at", Type: table.Timestamp}})}
	whole, err := os.ReadFile(parquet(t, "SELECT range AS i, 'x' || range AS s FROM range(10000)"))
	if err != nil {
		t.Fatal(err)
	}
	sparse := file(t, "line.csv", "a,b\n"+strings.Repeat("a", 2<<20))
	if err := os.Truncate(sparse, 1<<30); err != nil {
		t.Fatal(err)
	}
	truncatedGzip := func() string {
		data, err := os.ReadFile(gzipped(t, "x.csv.gz", "a,b\n", strings.Repeat("1,2\n", 10_000), 1))
		if err != nil {
			t.Fatal(err)
		}
		return string(data[:len(data)-20])
	}()
	damaged := strings.Replace(string(whole), string(whole[100:400]), strings.Repeat("\xff", 300), 1)

	tests := map[string]struct {
		path string
		prep *duck.PrepareInput
		lim  duck.Limits
		want string
	}{
		"empty csv":                {path: file(t, "a.csv", ""), want: "a.csv: the file is empty; write its rows into it"},
		"empty parquet":            {path: file(t, "a.parquet", ""), want: "a.parquet: the file is empty; write its rows into it"},
		"empty gzip":               {path: gzipped(t, "a.csv.gz", "", "", 0), want: "a.csv.gz: the file is empty; write its rows into it"},
		"header only":              {path: file(t, "a.csv", "a,b\n"), want: "a.csv: it has no rows; add at least one row"},
		"unknown format":           {path: file(t, "a.ods", "x"), want: "a.ods: the extension of its name is not a format that can be read; name it " + duck.Formats},
		"truncated parquet":        {path: file(t, "a.parquet", string(whole[:len(whole)-100])), want: "a.parquet: the Parquet file is cut off: its end is missing; write or copy it again"},
		"garbage parquet":          {path: file(t, "a.parquet", strings.Repeat("garbage ", 100)), want: "a.parquet: it is not a Parquet file: it does not begin as one; check what was uploaded"},
		"tiny parquet":             {path: file(t, "a.parquet", "PAR1PAR1"), want: "a.parquet: it is too short to be a Parquet file; write the file again"},
		"damaged parquet":          {path: file(t, "a.parquet", damaged), want: "a.parquet: the Parquet file is damaged ("},
		"damaged footer":           {path: file(t, "a.parquet", "PAR1"+strings.Repeat("\x00", 100)+"\xff\xff\x00\x00PAR1"), want: "a.parquet: the Parquet file is damaged ("},
		"not gzip":                 {path: file(t, "a.csv.gz", "a,b\n"+strings.Repeat("1,2\n", 10)), want: "a.csv.gz: it is not gzip, as its name says (gzip: invalid header); compress it again, or name it without .gz"},
		"truncated gzip":           {path: file(t, "a.csv.gz", truncatedGzip), want: "a.csv.gz: the gzip file is cut off after "},
		"gzip bomb":                {path: gzipped(t, "a.csv.gz", "a,b\n", strings.Repeat("1,2\n", 1<<18), 3000), lim: duck.Limits{Bytes: 4 << 20}, want: "a.csv.gz: uncompressed it has more than the 4 MiB that are allowed; split it"},
		"gzipped line of 1 GiB":    {path: gzipped(t, "a.csv.gz", "a,b\n", strings.Repeat("a", 1<<20), 1024), want: "a.csv.gz: line 2 is longer than the 1 MiB that are allowed; check that lines end as they should"},
		"line of 1 GiB":            {path: sparse, want: "line.csv: line 2 is longer than the 1 MiB that are allowed; check that lines end as they should"},
		"json line of 2 MiB":       {path: file(t, "a.jsonl", `{"a": "`+strings.Repeat("x", 2<<20)+`"}`), want: "a.jsonl: line 1 is longer than the 1 MiB that are allowed; check that lines end as they should"},
		"ten million columns":      {path: file(t, "a.csv", strings.Repeat("c,", 10_000_000)+"\n"), want: "a.csv: the header has more than the 16384 columns that are allowed; leave out columns"},
		"too many bytes":           {path: file(t, "a.csv", "a\n"+strings.Repeat("1\n", 1000)), lim: duck.Limits{Bytes: 1024}, want: "a.csv: the file has 1.955 KiB, and at most 1 KiB are allowed; split it"},
		"too many rows":            {path: file(t, "a.csv", "a\n"+strings.Repeat("1\n", 1000)), lim: duck.Limits{Rows: 999}, want: "a.csv: it has more than the 999 rows that are allowed; split it"},
		"too many rows of parquet": {path: file(t, "a.parquet", string(whole)), lim: duck.Limits{Rows: 999}, want: "a.parquet: it has 10000 rows, and at most 999 are allowed; split it"},
		"rows that multiply":       {path: file(t, "a.csv", "a\n"+strings.Repeat("1\n", 1000)), prep: &duck.PrepareInput{SQL: "SELECT x.a FROM upload x, upload y, upload z"}, lim: duck.Limits{Rows: 5000}, want: "a.csv: it has more than the 5000 rows that are allowed; split it"},
		"binary csv":               {path: file(t, "a.csv", "a,b\n1,\x00\n"), want: "a.csv: line 2 has a zero byte: it is not text, or it is UTF-16; save the file as text in UTF-8, or state data.csv.encoding"},
		"latin-1":                  {path: file(t, "a.csv", "a,b\n1,K\xf6ln\n"), want: "a.csv: line 2 is not UTF-8; save the file as text in UTF-8, or state data.csv.encoding"},
		"wrong header":             {path: file(t, "a.csv", "carrier;std;temp;at\nAA;1;2;2013-01-01\n"), prep: contract, want: "a.csv: column is missing: hour; the columns that are there: carrier, std, temp, at"},
		"a row too short":          {path: file(t, "a.csv", "a,b,c\n1,2,3\n4,5\n6,7,8\n"), want: "a.csv: line 3 has 2 values, and the header has 3 columns; put values that contain the separator into double quotes"},
		"a row too long":           {path: file(t, "a.csv", "a,b\n"+strings.Repeat("1,2\n", 30_000)+"1,2,3\n"), want: "a.csv: line 30002 has 3 values, and the header has 2 columns; put values that contain the separator into double quotes"},
		"an open quote":            {path: file(t, "a.csv", "a,b\n1,\"x\n2,y\n"), want: "a.csv: line 2: a double quote is opened and not closed; close it, or write a double quote inside a value twice"},
		"mixed types":              {path: file(t, "a.csv", "carrier,hour,temp,at\nAA,1,2.5,2013-01-01\n\"U\nA\",two,2.5,2013-01-01\n"), prep: contract, want: `a.csv: line 3, column "hour": "two" is not a whole number; correct the value, or leave it empty`},
		"mixed types late":         {path: file(t, "a.csv", "carrier,hour,temp,at\n"+strings.Repeat("AA,1,2.5,2013-01-01\n", 40_000)+"AA,1,warm,2013-01-01\n"), prep: contract, want: `a.csv: line 40002, column "temp": "warm" is not a number; correct the value, or leave it empty`},
		"a half":                   {path: file(t, "a.csv", "carrier,hour,temp,at\nAA,1.5,2.5,2013-01-01\n"), prep: contract, want: `a.csv: line 2, column "hour": "1.5" is not a whole number; correct the value, or leave it empty`},
		"a bad time":               {path: file(t, "a.csv", "carrier,hour,temp,at\nAA,1,2.5,yesterday\n"), prep: contract, want: `a.csv: line 2, column "at": "yesterday" is not a time (as 2013-01-31T06:00:00Z); correct the value, or leave it empty`},
		"a number for a time":      {path: file(t, "a.csv", "carrier,hour,temp,at\nAA,1,2.5,1356998400\n"), prep: contract, want: `a.csv: line 2, column "at": "1356998400" is not a time (as 2013-01-31T06:00:00Z); correct the value, or leave it empty`},
		"an endless time":          {path: parquet(t, "SELECT 'infinity'::TIMESTAMP AS at"), want: `made.parquet: row 1, column "at": "infinity" is not a time (as 2013-01-31T06:00:00Z); correct the value, or leave it empty`},
		"broken json":              {path: file(t, "a.jsonl", "{\"a\": 1}\n\n{\"a\": 2\n{\"a\": 3}\n"), want: "a.jsonl: line 3 is not a JSON object: it ends too early; write one JSON object a line"},
		"json of arrays":           {path: file(t, "a.jsonl", "[1, 2]\n[3, 4]\n"), want: "a.jsonl: line 1 is not a JSON object but an array; write one JSON object a line, or name a file that is one array .json"},
		"nested json": {path: file(t, "a.jsonl", `{"a": {"b": 1}, "c": [1]}`), prep: &duck.PrepareInput{Columns: columns("a float", "c bool")}, want: `a.jsonl: line 1, column "a": "{\"b\": 1}" is an object, which only a string column takes, as its JSON text; make the column a string, leave it out, or take its values out of it before` + "\n" +
			`a.jsonl: line 1, column "c": "[1]" is an array, which only a string column takes, as its JSON text; make the column a string, leave it out, or take its values out of it before`},
		"json of mixed types": {path: file(t, "a.jsonl", "{\"hour\": 1}\n{\"hour\": \"two\"}\n"), prep: &duck.PrepareInput{Columns: contract.Columns[1:2]}, want: `a.jsonl: line 2, column "hour": "two" is not a whole number; correct the value, or leave it empty`},
		"blobs":               {path: parquet(t, "SELECT '\\xff'::BLOB AS b"), want: `made.parquet: column "b" has binary values that are not text in UTF-8; leave this column out, or convert it before`},
		"a too large integer": {path: parquet(t, "SELECT 18446744073709551615::UBIGINT AS n"), want: `made.parquet: row 1, column "n": "18446744073709551615" is too large for a whole number of 64 bits; use a string column`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			out, _, err := convert(t, test.path, test.prep, test.lim)
			_ = unreadable(t, err)
			whole := !strings.HasSuffix(test.want, "(") && !strings.HasSuffix(test.want, "after ")
			if got := err.Error(); whole && got != test.want || !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestConvertEnds(t *testing.T) {
	leaves(t)
	path := file(t, "a.csv", "a\n1\n")
	endless := &duck.PrepareInput{SQL: "SELECT count(*) AS n FROM range(1000000) x, range(1000000) y, range(1000) z"}
	t.Run("at its timeout", func(t *testing.T) {
		_, _, err := convert(t, path, endless, duck.Limits{Timeout: 300 * time.Millisecond})
		if u := unreadable(t, err); u.Error() != "a.csv: reading it took longer than the 300ms that are allowed; split it, or make prepare simpler" {
			t.Errorf("got %v", u)
		}
	})
	t.Run("when cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := duck.Convert(ctx, duck.Source{Path: path, Name: "a.csv"}, endless, filepath.Join(t.TempDir(), "out"), duck.Limits{})
		if _, explained := errors.AsType[*table.Unreadable](err); explained || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("when memory is short", func(t *testing.T) {
		hungry := &duck.PrepareInput{SQL: "SELECT md5(string_agg(i::VARCHAR, ',')) AS h FROM range(50000000) r(i), upload"}
		_, _, err := convert(t, path, hungry, duck.Limits{Memory: "64MB"})
		if u := unreadable(t, err); u.Error() != "a.csv: converting it needs more than the 64MB of memory that are allowed; split it, or make prepare simpler" {
			t.Errorf("got %v", u)
		}
	})
}

func TestConvertKeepsWhatWasThere(t *testing.T) {
	out := file(t, "out.parquet", "before")
	bad := file(t, "a.csv", "a,b\n1\n")
	if _, err := duck.Convert(t.Context(), duck.Source{Path: bad, Name: "a.csv"}, nil, out, duck.Limits{}); err == nil {
		t.Fatal("a bad file is taken")
	}
	if data, err := os.ReadFile(out); err != nil || string(data) != "before" {
		t.Errorf("got %q, %v", data, err)
	}
	_, err := duck.Convert(t.Context(), duck.Source{Path: "/nonexistent", Name: "a.csv"}, nil, out, duck.Limits{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
