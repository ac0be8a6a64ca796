package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"millrace.dev/events"
)

// pipelineOf is a pipeline whose data section is written out.
func pipelineOf(data string) string {
	return fmt.Sprintf(`
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  data:
    uploads: ["shop/*"]
%s
  model: {task: regression, label: price, features: [city]}
`, data)
}

// TestDialects reads files as other programs write them, by what the contract
// states.
func TestDialects(t *testing.T) {
	t.Parallel()
	const columns = `
    columns:
      city: {type: string, nulls: 1}
      price: {type: float, nulls: 1}
      sold: {type: timestamp, nulls: 1%s}
`
	latin, err := charmap.Windows1252.NewEncoder().String("city;price;sold\nKöln €;1.234,50;05.03.2024\n")
	if err != nil {
		t.Fatal(err)
	}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("city\tprice\tsold\r\nŁódź\t2.5\t2024-03-05\r\n")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data, name, content string
		want                []string
	}{
		"semicolons, decimal commas and a zone": {
			`    csv: {delimiter: ";", decimal: ",", thousands: ".", encoding: cp1252}` + fmt.Sprintf(columns, `, format: "%d.%m.%Y", zone: Europe/Berlin`),
			"eu.csv", latin, []string{"city,price,sold", "Köln €,1234.5,2024-03-04T23:00:00Z"},
		},
		"an Excel export": {
			`    csv: {null: ["#N/A", "#DIV/0!", "-"]}` + fmt.Sprintf(columns, ""),
			"excel.csv", "\ufeffcity,price,sold\r\n#N/A,#N/A,2024-03-05\r\n\"-\",-,\r\n\"a\nb\",#DIV/0!,2024-03-05 10:00\r\n",
			[]string{"city,price,sold", "-,-,2024-03-05T00:00:00Z", "-,-,-", "a\nb,-,2024-03-05T10:00:00Z"},
		},
		"a logger's preamble, units, comments and footer": {
			`    csv: {skip: 3, header: 2, comment: "#", footer: 1}` + fmt.Sprintf(columns, ", format: unix"),
			"log.csv", "Logger 12\n\n\"serial, 1\ncity,price,sold\n-,EUR,s\n#restart\nOslo,1,1709632800\nRome,2,1709632801\nend of file",
			[]string{"city,price,sold", "Oslo,1,2024-03-05T10:00:00Z", "Rome,2,2024-03-05T10:00:01Z"},
		},
		"UTF-16 and tabs": {`    csv: {encoding: utf-16}` + fmt.Sprintf(columns, ""), "u.tsv", utf16, []string{"city,price,sold", "Łódź,2.5,2024-03-05T00:00:00Z"}},
		"no header and no quotes": {
			`    csv: {header: 0, names: [price, city, sold], quote: none, delimiter: "|"}` + fmt.Sprintf(columns, ""),
			"n.csv", "1|\"5\" pipe|2024-03-05\n", []string{"city,price,sold", "\"5\" pipe,1,2024-03-05T00:00:00Z"},
		},
		"words, percent, other names and a default": {
			`
    columns:
      city: {type: bool, true: [Ja, 1], false: Nein, from: [Stadt, ort]}
      price: {type: float, unit: percent}
      currency: {type: string, optional: true, default: EUR}
      note: {type: string, optional: true, nulls: 1}`,
			"w.csv", "ort,price\nja,5 %\nNein,6.5%\n1,7\n", []string{"city,currency,note,price", "true,EUR,-,5", "false,EUR,-,6.5", "true,EUR,-,7"},
		},
		"the same in JSON lines": {
			`    csv: {decimal: ",", null: ["n/a"]}` + fmt.Sprintf(columns, ""),
			"j.jsonl", `{"city": "n/a", "price": "n/a", "sold": "2024-03-05"}` + "\n" + `{"price": 1.5, "city": null}` + "\n",
			[]string{"city,price,sold", "n/a,-,2024-03-05T00:00:00Z", "-,1.5,-"},
		},
	}
	r := newEnv(t, settings())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.ConfigureYAML(t, pipelineOf(test.data))
			wantRows(t, r.rows(r.ingested(r.upload("shop/"+test.name, []byte(test.content))).Data), test.want...)
		})
	}
	rejected := map[string]struct{ data, content, want string }{
		"the other decimal mark": {`    csv: {decimal: ","}` + fmt.Sprintf(columns, ""), "city;price;sold\nRome;1.5;\n", `line 2, column "price": "1.5" is not a number with the decimal mark ","`},
		"groups of two":          {`    csv: {thousands: ","}` + fmt.Sprintf(columns, ""), "city;price;sold\nRome;1,50;\n", `column "price": "1,50" is not a number`},
		"an hour that is twice":  {fmt.Sprintf(columns, ", zone: Europe/Berlin"), "city;price;sold\nRome;1;2024-10-27 02:30\n", "is ambiguous in Europe/Berlin: it is 2024-10-27T00:30:00Z or 2024-10-27T01:30:00Z"},
		"an hour that is not":    {fmt.Sprintf(columns, ", zone: Europe/Berlin"), "city;price;sold\nRome;1;2024-03-31 02:30\n", "does not exist in Europe/Berlin"},
		"two names of a column": {`
    columns:
      city: {type: string, from: [ort]}
      price: {type: float}`, "city,ort,price\na,b,1\n", `"city" and "ort" are both the column "city" of the contract`},
		"dates of two readings": {fmt.Sprintf(columns, ""), "city,price,sold\nRome,1,01/01/2024\nOslo,1,03/04/2024\n", `line 3, column "sold": "03/04/2024" is ambiguous: it is 3 April 2024 or 4 March 2024 (2 of 2 values are wrong; others: 2); state the column's format, as "%d/%m/%Y" or "%m/%d/%Y"`},
	}
	for name, test := range rejected {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.ConfigureYAML(t, pipelineOf(test.data))
			got := only[events.PartitionRejected](t, r.handle(r.upload("shop/bad.csv", []byte(test.content))))
			if reason := got.Problems[0].Reason; len(got.Problems) != 1 || !strings.Contains(reason, test.want) {
				t.Errorf("got %q, want %q in it", reason, test.want)
			}
		})
	}
}
