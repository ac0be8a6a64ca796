package source_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/source"
)

func workbookFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/excel/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestExcel reads what testdata/excel/make.py has openpyxl write. The values
// expected are those that stand there.
func TestExcel(t *testing.T) {
	t.Parallel()
	share := columnsOf("text string, whole int, number float, flag bool, at timestamp, day timestamp, clock string, share float, note string")
	share[7].Rule.Percent = true
	for _, tt := range []struct {
		file string
		opts source.Options
		want []string
	}{
		{"values.xlsx", source.Options{Columns: share}, []string{
			"text string, whole int, number float, flag bool, at timestamp, day timestamp, clock string, share float, note string",
			"plain 9007199254740992 0.1 true 2024-02-29T06:30:15.25Z 2024-02-29T00:00:00Z 06:30:00 5 #N/A",
			" space  -7 1e-07 false 1900-02-28T00:00:00Z 1900-03-01T00:00:00Z 26:00:00 12.5 -",
			"two\nlines 12 -2.5e+300 true 2024-01-01T00:00:00Z 9999-12-31T00:00:00Z - 100 -",
			"- - - - - - - - only this",
			"rich text 13 1.5 true 2024-03-01T00:00:00Z 2024-03-01T00:00:00Z x 200 =1+1",
		}},
		{"values.xlsx", source.Options{Columns: columnsOf("at string, day string, whole string, flag string"), Extra: source.Drop}, []string{
			"at string, day string, whole string, flag string",
			"2024-02-29 06:30:15.25 2024-02-29 9007199254740992 true",
			"1900-02-28 00:00:00 1900-03-01 -7 false",
			"2024-01-01 00:00:00 9999-12-31 12 true",
			"- - - -",
			"2024-03-01T00:00:00Z 2024-03-01 13 yes",
		}},
		{"values.xlsx", source.Options{Nulls: []string{"#N/A"}}, []string{
			"text string, whole int, number float, flag string, at timestamp, day timestamp, clock string, share float, note string",
			"plain 9007199254740992 0.1 true 2024-02-29T06:30:15.25Z 2024-02-29T00:00:00Z 06:30:00 0.05 -",
			" space  -7 1e-07 false 1900-02-28T00:00:00Z 1900-03-01T00:00:00Z 26:00:00 0.125 -",
			"two\nlines 12 -2.5e+300 true 2024-01-01T00:00:00Z 9999-12-31T00:00:00Z - 1 NA",
			"- - - - - - - - only this",
			"rich text 13 1.5 yes 2024-03-01T00:00:00Z 2024-03-01T00:00:00Z x 2 =1+1",
		}},
		{"1904.xlsx", source.Options{}, []string{"day timestamp", "1904-01-01T00:00:00Z", "1904-03-01T00:00:00Z", "2024-02-29T00:00:00Z"}},
		{"report.xlsx", source.Options{Excel: source.Layout{Sheet: "Readings", Skip: 1, Header: 2}}, []string{
			"station string, celsius float, ok bool", "north 21.5 true", "- 22 false", "south 19 true",
		}},
		{"column.xlsx", source.Options{}, []string{"n int", "1", "-", "-", "4"}},
	} {
		got, err := readBytes(t, tt.file, workbookFile(t, tt.file), tt.opts, source.Limits{})
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q\n%v", tt.file, got, tt.want, err)
		}
	}
	got, err := readBytes(t, "streamed.xlsx", workbookFile(t, "streamed.xlsx"), source.Options{}, source.Limits{})
	if err != nil || len(got) != 1001 || got[1000] != "999 text 5 <&>" {
		t.Errorf("%d rows, the last %q, %v", len(got)-1, got[len(got)-1], err)
	}
}

// parts are a workbook: its parts by name, over those that every one has.
type parts map[string]string

func (p parts) bytes(t testing.TB) []byte {
	t.Helper()
	all := parts{
		"_rels/.rels":                `<Relationships><Relationship Id="a" Type="x/officeDocument" Target="/xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml":            `<workbook xmlns:r="x/relationships"><sheets><sheet name="One" sheetId="1" r:id="s1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="s1" Type="x/worksheet" Target="one.xml"/><Relationship Id="t" Type="x/sharedStrings" Target="texts.xml"/></Relationships>`,
		"xl/texts.xml":               `<sst><si><t>a</t></si><si><r><t>tw</t></r><r><t>o</t></r><rPh><t>spoken</t></rPh></si><si><t>line_x000A_end _x005F_x0041_</t></si></sst>`,
	}
	maps.Copy(all, p)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range all {
		if text == "" {
			continue
		}
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sheetOf is a workbook whose sheet has these rows.
func sheetOf(rows string) parts {
	return parts{"xl/one.xml": `<?xml version="1.0"?><x:worksheet xmlns:x="m"><x:sheetData>` + rows + `</x:sheetData><drawing><row/></drawing></x:worksheet>`}
}

func TestExcelShared(t *testing.T) {
	t.Parallel()
	book := sheetOf(`<row r="1"><c r="A1" t="s"><v>0</v></c><c t="s"><v>1</v></c></row><row/><x:row><c t="s"><v>2</v></c><c t="e"><f>1/0</f><v>#DIV/0!</v></c></x:row>` +
		`<row r="9"><c r="B9" t="str"><f>A1</f><v>x</v></c><c r="A9"><f>1+1</f><v>2</v></c></row>`)
	got, err := readBytes(t, "a.xlsx", book.bytes(t), source.Options{}, source.Limits{})
	want := []string{"a string, two string", "line\nend _x0041_ #DIV/0!", "2 x"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestExcelRefused(t *testing.T) {
	t.Parallel()
	head := `<row r="1"><c r="A1" t="str"><v>a</v></c><c r="B1" t="str"><v>b</v></c></row>`
	secret := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 100)...)
	whole := sheetOf(head + `<row><c><v>1</v></c></row>`).bytes(t)
	for _, tt := range []struct {
		why     string
		content []byte
		lim     source.Limits
		want    string
	}{
		{"password", secret, source.Limits{}, "it is an .xls of old Excel, or has a password; save it as .xlsx without a password"},
		{"text", []byte("a,b\n1,2\n"), source.Limits{}, "it is not an Excel workbook, or is cut off"},
		{"cut", whole[:len(whole)-40], source.Limits{}, "it is not an Excel workbook, or is cut off"},
		{"zip", parts{"_rels/.rels": ""}.bytes(t), source.Limits{}, "it is a zip archive and no Excel workbook"},
		{"no sheet", parts{}.bytes(t), source.Limits{}, `the sheet "One" is not in the workbook`},
		{"empty", sheetOf("").bytes(t), source.Limits{}, "the sheet has no header"},
		{"no rows", sheetOf(head).bytes(t), source.Limits{}, "it has no rows"},
		{"no name", sheetOf(`<row><c r="B1"><v>1</v></c></row>`).bytes(t), source.Limits{}, "row 1: column 1 of the header has no name"},
		{"same name", sheetOf(`<row><c><v>1</v></c><c><v>1</v></c></row>`).bytes(t), source.Limits{}, `row 1: the header has "1" twice`},
		{"rows back", sheetOf(head + `<row r="1"/>`).bytes(t), source.Limits{}, `the row after row 1 says that it is row "1"`},
		{"cell twice", sheetOf(head + `<row><c r="A2"><v>1</v></c><c r="A2"><v>2</v></c></row>`).bytes(t), source.Limits{}, "row 2 has the cell A2 twice"},
		{"cell name", sheetOf(head + `<row><c r="A7"><v>1</v></c></row>`).bytes(t), source.Limits{}, `row 2 has a cell with the name "A7"`},
		{"far", sheetOf(head + `<row><c r="ZZZZ2"><v>1</v></c></row>`).bytes(t), source.Limits{}, "row 2 has more than the 16384 columns that are allowed"},
		{"type", sheetOf(head + `<row><c t="z"><v>1</v></c></row>`).bytes(t), source.Limits{}, `row 2 has a cell of the type "z"`},
		{"text number", sheetOf(head + `<row><c t="s"><v>3</v></c></row>`).bytes(t), source.Limits{}, `row 2 names the text "3", and the workbook has 3 texts`},
		{"broken", sheetOf(head + `<row><c></row>`).bytes(t), source.Limits{}, "its part xl/one.xml is damaged"},
		{"comment", sheetOf(head + `<!-- <row/> -->`).bytes(t), source.Limits{}, "comments or declarations"},
		{"deep", sheetOf(strings.Repeat("<a>", 100)).bytes(t), source.Limits{}, "elements inside of elements"},
		{"bomb", sheetOf(head + strings.Repeat("<row/>", 1<<18)).bytes(t), source.Limits{Bytes: 1 << 20}, "uncompressed it has more than the 1 MiB that are allowed"},
		{"long", sheetOf(head + "<row><c><v>" + strings.Repeat("1", 2<<20) + "</v></c></row>").bytes(t), source.Limits{}, "a cell is longer than the 1 MiB that are allowed"},
		{"long row", sheetOf(head + "<row>" + strings.Repeat("<c><v>"+strings.Repeat("1", 1000)+"</v></c>", 1100) + "</row>").bytes(t), source.Limits{}, "row 2 is longer than the 1 MiB that are allowed"},
		{"many rows", sheetOf(head + strings.Repeat("<row><c><v>1</v></c></row>", 20)).bytes(t), source.Limits{Rows: 10}, "it has more than the 10 rows that are allowed"},
		{"texts", func() []byte {
			p := sheetOf(head)
			p["xl/texts.xml"] = "<sst><si><t>" + strings.Repeat("<t>x</t>", 10) + strings.Repeat("<t>"+strings.Repeat("x", 1000)+"</t>", 1100) + "</t></si></sst>"
			return p.bytes(t)
		}(), source.Limits{}, "a text is longer than the 1 MiB that are allowed"},
	} {
		_, err := readBytes(t, "a.xlsx", tt.content, source.Options{}, tt.lim)
		if err == nil || !strings.Contains(err.Error(), tt.want) || table.Unreadables(err) == nil {
			t.Errorf("%s: %v\nwant %s", tt.why, err, tt.want)
		}
	}
	for file, want := range map[string]string{
		"hidden.xlsx": `the first sheet, "Lists", is hidden; the sheets are "Lists", "Data"; name the sheet in data.xlsx.sheet`,
		"a.xlsx.gz":   "an Excel workbook is compressed already, and its name says .gz",
	} {
		_, err := readBytes(t, file, workbookFile(t, "hidden.xlsx"), source.Options{}, source.Limits{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	_, err := readBytes(t, "a.xlsx", workbookFile(t, "hidden.xlsx"), source.Options{Excel: source.Layout{Sheet: "data"}}, source.Limits{})
	if want := `the workbook has no sheet "data"; it has "Lists", "Data"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

// TestExcelAside sets rows aside, and refuses the same workbook without.
func TestExcelAside(t *testing.T) {
	t.Parallel()
	content := workbookFile(t, "mistakes.xlsx")
	opts := source.Options{Columns: columnsOf("n int, day timestamp")}
	_, err := readBytes(t, "a.xlsx", content, opts, source.Limits{})
	for _, want := range []string{
		"row 5 has a value in column C, and the header has 2 columns",
		`row 3, column "n": "many" is not a whole number (3 of 6 values are wrong; others: 4, 7)`,
		`row 6, column "day": "60" is shown as 29 February 1900, a day that there never was (2 of 6 values are wrong; others: 7)`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s in\n%v", want, err)
		}
	}
	aside := t.TempDir() + "/aside.jsonl"
	opts.SetAside = &source.SetAside{Path: aside, MaxFraction: 1}
	got, err := readBytes(t, "a.xlsx", content, opts, source.Limits{})
	if want := []string{"n int, day timestamp", "1 2024-01-01T00:00:00Z"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	lines, err := os.ReadFile(aside)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"record":2,"line":3,"text":"{\"n\": \"many\", \"day\": \"2024-01-02\"}","faults":[{"column":"n","value":"many","reason":"is not a whole number"}]}`,
		`{"record":3,"line":4,"text":"{\"n\": \"=A2+1\", \"day\": \"2024-01-03\"}","faults":[{"column":"n","value":"=A2+1","reason":"is a formula whose value is not in the file"}]}`,
		`{"record":4,"line":5,"text":"{\"n\": \"4\", \"day\": \"2024-01-04\", \"C\": \"beside the table\"}","faults":[{"reason":"has a value in column C, and the header has 2 columns"}]}`,
		`{"record":5,"line":6,"text":"{\"n\": \"5\", \"day\": \"60\"}","faults":[{"column":"day","value":"60","reason":"is shown as 29 February 1900, a day that there never was"}]}`,
		`{"record":6,"line":7,`,
	}
	for i, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("set aside %s", line)
		}
	}
}

// FuzzExcel reads any bytes as a sheet: rows come out, or sentences.
func FuzzExcel(f *testing.F) {
	for _, rows := range []string{
		`<row r="1"><c r="A1" t="str"><v>a</v></c></row><row r="4"><c><v>1</v></c></row>`,
		`<row><c t="s"><v>1</v></c></row><row/><row><c s="1"><v>1.5</v></c></row><row><c s="2"><v>61</v></c></row>`,
		`<row><c t="inlineStr"><is><t>x_x000A_</t></is></c></row><row><c t="b"><v>1</v></c></row><row><c><f>1</f></c></row>`,
		`<row><c><v>1</v></c></row><![CDATA[<row/>]]>`,
	} {
		f.Add(rows, "yyyy-mm-dd", false)
		f.Add(rows, `[h]:mm;"x"@`, true)
	}
	f.Fuzz(func(t *testing.T, rows, format string, infer bool) {
		book := sheetOf(rows)
		book["xl/_rels/workbook.xml.rels"] = `<Relationships><Relationship Id="s1" Type="x/worksheet" Target="one.xml"/><Relationship Id="t" Type="x/sharedStrings" Target="texts.xml"/>` +
			`<Relationship Id="y" Type="x/styles" Target="styles.xml"/></Relationships>`
		book["xl/styles.xml"] = fmt.Sprintf(`<s><numFmts><numFmt numFmtId="200" formatCode=%q/></numFmts><cellXfs><xf/><xf numFmtId="200"/><xf numFmtId="14"/></cellXfs></s>`, format)
		opts := source.Options{}
		if !infer {
			opts.Columns, opts.Extra = columnsOf("a timestamp"), source.Text
		}
		got, err := readBytes(t, "a.xlsx", book.bytes(t), opts, source.Limits{Bytes: 1 << 20, LineBytes: 1 << 16})
		if err != nil && table.Unreadables(err) == nil {
			t.Fatal(err)
		}
		if err != nil && strings.Contains(err.Error(), "read in two ways") {
			t.Fatal(err)
		}
		if rows := strings.Count(rows, "<row") + strings.Count(rows, ":row"); err == nil && len(got) > rows && !strings.Contains(got[0], ",") && rows < 2 {
			t.Fatalf("%d lines of %d rows", len(got), rows)
		}
	})
}
