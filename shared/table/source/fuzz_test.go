package source

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// readAll reads all records of a CSV text as csvReader has them.
func readAll(text []byte, single bool) ([][]string, []int64, int64, error) {
	c := &counter{comma: ',', quote: '"'}
	r := newCSVReader(io.TeeReader(&oneByte{bytes.NewReader(text), 7}, c), Dialect{Delimiter: ','}, 1<<20)
	var all [][]string
	var lines []int64
	for {
		fields, line, err := r.next()
		if errors.Is(err, io.EOF) {
			return all, lines, c.finish(single), nil
		}
		if err != nil {
			return nil, nil, 0, err
		}
		record := make([]string, len(fields))
		for i, f := range fields {
			record[i] = string(f.text)
		}
		all, lines = append(all, record), append(lines, line)
		r.single = single // after the header
	}
}

// oneByte returns a few bytes at a time, so that records and line breaks lie
// across reads.
type oneByte struct {
	r io.Reader
	n int
}

func (o *oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), o.n)]) }

// FuzzCSV holds csvReader against encoding/csv and against the counter: what
// encoding/csv reads, csvReader reads to the same records on the same lines, and
// the counter counts as many.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2\n", "a,b\r\n1,2\r\n", "a\r1\r2", "a,b\n\"x,\"\"y\"\"\",2\n", "a,b\n\"two\nlines\",2\r\n3,4", "\n\na\n\nb\n", "#a\n#b\n", "a,\"b\"c\n",
		"\"a", "a,b\n\"\",\n", "a\r\n\r\r\n\nb", "\"\r\n\"\r\n\"\"\"\"", "a,b,\n,,", " \"a\"\n", "x\"y\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, lines, counted, err := readAll(text, false)
		if err == nil && counted != int64(len(got)) {
			t.Fatalf("%q: %d records, and the counter has %d", text, len(got), counted)
		}
		if all, _, counted, err := readAll(text, true); err == nil && (counted != int64(len(all)) || len(all) < len(got)) {
			t.Fatalf("%q with empty lines: %d records, and the counter has %d", text, len(all), counted)
		}
		if bytes.IndexByte(text, '\r') >= 0 {
			return // encoding/csv ends no line with CR and drops the CR of a CRLF in quotes
		}
		r := csv.NewReader(bytes.NewReader(text))
		r.FieldsPerRecord = -1
		var want [][]string
		var wantLines []int64
		for {
			record, peer := r.Read()
			if errors.Is(peer, io.EOF) {
				break
			}
			if peer != nil {
				return // stricter, which is its right
			}
			line, _ := r.FieldPos(0)
			want, wantLines = append(want, record), append(wantLines, int64(line))
		}
		if err != nil {
			t.Fatalf("%q: %v, and encoding/csv reads %q", text, err, want)
		}
		if !slices.EqualFunc(got, want, slices.Equal) || !slices.Equal(lines, wantLines) {
			t.Fatalf("%q:\n got %q on %v\nwant %q on %v", text, got, lines, want, wantLines)
		}
	})
}

// FuzzCSVWritten reads back what encoding/csv writes, whatever the lines end
// with.
func FuzzCSVWritten(f *testing.F) {
	f.Add("a", "b\n", "c\"", uint8(0))
	f.Add("", "\r", "x,y", uint8(1))
	f.Fuzz(func(t *testing.T, a, b, c string, mode uint8) {
		want := [][]string{{a, b, c}, {c, b, a}, {b, b, b}}
		var text strings.Builder
		w := csv.NewWriter(&text)
		w.UseCRLF = mode%2 == 1
		if w.UseCRLF && strings.ContainsAny(a+b+c, "\r\n") {
			return // it changes line breaks inside values
		}
		if err := w.WriteAll(want); err != nil {
			t.Skip(err)
		}
		got, _, counted, err := readAll([]byte(text.String()), false)
		if err != nil || counted != 3 || !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q: got %q, %d, %v", text.String(), got, counted, err)
		}
	})
}
