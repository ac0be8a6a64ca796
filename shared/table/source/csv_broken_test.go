package source_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/source"
)

// readAside reads a CSV text and sets rows aside. It returns the rows of the table,
// and of each row that was set aside its line, text and reason.
func readAside(t testing.TB, text string, opts source.Options) (rows, aside []string, result *source.Aside, err error) {
	t.Helper()
	dir := t.TempDir()
	path, out := filepath.Join(dir, "a.csv"), filepath.Join(dir, "out.parquet")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if opts.SetAside == nil {
		opts.SetAside = &source.SetAside{MaxFraction: 1}
	}
	opts.SetAside.Path = filepath.Join(dir, "aside.jsonl")
	r, err := source.Read(t.Context(), source.Source{Path: path, Name: "a.csv"}, opts, source.Limits{LineBytes: 1 << 16}, out)
	if err != nil {
		return nil, nil, nil, err
	}
	left, err := os.ReadFile(opts.SetAside.Path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(left)) {
		var row source.AsideRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		aside = append(aside, strings.Join([]string{row.Text, row.Faults[0].Reason}, " | "))
	}
	return tableLines(t, out)[1:], aside, r.Aside, nil
}

// TestBrokenCSV sets lines aside whose quotes do not fit, and reads the rest.
func TestBrokenCSV(t *testing.T) {
	t.Parallel()
	const spaced, follows, open = "is no CSV: a space stands before a quote, which then does not open a value", "is no CSV: text follows the quote that closes a value", "is no CSV: a double quote is opened and not closed"
	for name, tt := range map[string]struct {
		text        string
		opts        source.Options
		rows, aside []string
	}{
		"a space before a quote": {
			text: "n,t\n1,a\n2, \"b\"\n3,c\n",
			rows: []string{"1 a", "3 c"}, aside: []string{`2, "b" | ` + spaced},
		},
		"text after a quote": {
			text: "n,t\r\n1,a\r\n2,\"b\"x\r\n3,c",
			rows: []string{"1 a", "3 c"}, aside: []string{`2,"b"x | ` + follows},
		},
		"a quote that is not closed": {
			text: "n,t\n1,a\n2,\"b\n3,c\n4,d\n",
			rows: []string{"1 a", "3 c", "4 d"}, aside: []string{`2,"b | ` + open},
		},
		"in the last line": {
			text: "n,t\n1,a\n2,\"b",
			rows: []string{"1 a"}, aside: []string{`2,"b | ` + open},
		},
		"lines between two quotes are not made rows": {
			text: "n,t\n1,a\n2,\"b\n3,c\n4,\"d\"\n5,e\n",
			rows: []string{"1 a", "5 e"},
			aside: []string{
				`2,"b | belongs to a record whose quotes do not fit on line 5`, `3,c | belongs to a record whose quotes do not fit on line 5`, `4,"d" | ` + follows,
			},
		},
		"a whole value of two lines before": {
			text: "n,t,u\n1,\"a\nb\",\"c\n2,d,e\n",
			rows: []string{"2 d e"}, aside: []string{`1,"a | belongs to a record whose quotes do not fit on line 3`, `b","c | ` + open},
			opts: source.Options{Columns: columnsOf("n int, t string, u string")},
		},
		"with a ragged row, and a value that does not fit": {
			text: "n,t\n1,a,b\nx,c\n2,\"d\"e\n3,f\n",
			rows: []string{"3 f"}, aside: []string{"1,a,b | has 3 values, and the header has 2 columns", "x,c | is not a whole number", `2,"d"e | ` + follows},
			opts: source.Options{Columns: columnsOf("n int, t string")},
		},
		"with lines to skip, and a footer": {
			text: "made by us\nn,t\n1,\"a\"b\n\n2,c\nthe end\n\n",
			rows: []string{"2 c"}, aside: []string{`1,"a"b | ` + follows},
			opts: source.Options{CSV: source.Dialect{Skip: 1, Footer: 1}},
		},
		"one column": {
			text: "t\na\n\"b\n\nc\n",
			rows: []string{"a", "-", "c"}, aside: []string{`"b | ` + open},
		},
	} {
		rows, aside, result, err := readAside(t, tt.text, tt.opts)
		if err != nil || !slices.Equal(rows, tt.rows) || !slices.Equal(aside, tt.aside) {
			t.Errorf("%s:\nrows  %q\nwant  %q\naside %q\nwant  %q\n%v", name, rows, tt.rows, aside, tt.aside, err)
			continue
		}
		if result.Rows != int64(len(aside)) || result.Of != int64(len(rows)+len(aside)) {
			t.Errorf("%s: %d of %d rows set aside, of %d", name, result.Rows, result.Of, len(rows)+len(aside))
		}
	}
	_, _, _, err := readAside(t, "n,t\n1,a\n2,\"b\n"+strings.Repeat("3,c\n", 20)+"4,\"d\"\n5,e\n", source.Options{SetAside: &source.SetAside{MaxFraction: 0.1}})
	for _, want := range []string{
		"a.csv: line 3 belongs to a record whose quotes do not fit on line 24 (22 of 24 rows are wrong; others: 4, 5, 6, 7, 8, ...); close every quote, and write a double quote inside a value twice",
		"22 of 24 rows (91.67 %) would have to be set aside, and data.quarantine allows 10 %",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s in\n%v", want, err)
		}
	}
	if _, err := readBytes(t, "a.csv", []byte("n,t\n1,\"a\n"), source.Options{}, source.Limits{}); err == nil || !strings.Contains(err.Error(), "line 2: a double quote is opened and not closed") {
		t.Error(err)
	}
}

// FuzzBrokenCSV reads any text with rows set aside: lines are rows, or are set
// aside, or there is a sentence.
func FuzzBrokenCSV(f *testing.F) {
	for _, seed := range []string{"n,t\n1,\"a\n2,b\n", "n\n\"\"\"\n\r\"x\"y\r\n\n", "n,t\n \"a\"\n,\"\n\"\"\n\"", "n\n\"a\r\n\r\n\"b\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, aside, result, err := readAside(t, text, source.Options{})
		switch {
		case err != nil && (table.Unreadables(err) == nil || strings.Contains(err.Error(), "in two ways")):
			t.Fatal(err)
		case err == nil && (result.Of != int64(len(rows)+len(aside)) || result.Rows != int64(len(aside))):
			t.Fatalf("%+v of %d rows and %d set aside", result, len(rows), len(aside))
		}
	})
}
