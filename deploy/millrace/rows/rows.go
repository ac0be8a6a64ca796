// Package rows reads the rows of a file that is to be predicted, whatever the
// file is: CSV, JSON, JSON lines or Parquet, compressed or not. Each row is a
// JSON object by column.
package rows

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rows are rows, or the error that ended them.
type Rows = iter.Seq2[json.RawMessage, error]

// Read finds out what is in r and reads its rows. types are the datatypes of
// the Open Inference Protocol by column, for formats whose values are all text.
func Read(ctx context.Context, r io.Reader, types map[string]string) Rows {
	return func(yield func(json.RawMessage, error) bool) {
		b := bufio.NewReaderSize(r, 64<<10)
		if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
			z, err := gzip.NewReader(b)
			if err != nil {
				yield(nil, fmt.Errorf("not a whole gzip file: %w", err))
				return
			}
			b = bufio.NewReaderSize(z, 64<<10)
		}
		if bom, _ := b.Peek(3); bytes.Equal(bom, []byte("\ufeff")) {
			_, _ = b.Discard(3) // has been peeked at
		}
		if magic, _ := b.Peek(4); string(magic) == "PAR1" {
			readParquet(ctx, b, yield)
			return
		}
		switch first, err := firstByte(b); {
		case errors.Is(err, io.EOF):
		case err != nil:
			yield(nil, err)
		case first == '{' || first == '[':
			readJSON(b, yield)
		default:
			readCSV(b, types, yield)
		}
	}
}

// firstByte is the first byte that is no space, which stays to be read.
func firstByte(b *bufio.Reader) (byte, error) {
	for {
		c, err := b.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, b.UnreadByte()
		}
	}
}

type yielding = func(json.RawMessage, error) bool

// readJSON reads objects one after the other, lists of objects, or the body of
// a request of KServe's V1 protocol.
func readJSON(r io.Reader, yield yielding) {
	d := json.NewDecoder(r)
	row := 0
	one := func(raw json.RawMessage) bool {
		row++
		if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
			yield(nil, fmt.Errorf("row %d is %.40s; a row is an object by column: {\"column\": value}", row, raw))
			return false
		}
		return yield(raw, nil)
	}
	for {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(nil, fmt.Errorf("after row %d comes no JSON: %w", row, err))
			return
		}
		for _, raw := range members(raw) {
			if !one(raw) {
				return
			}
		}
	}
}

// members are the rows in one value: those of a list, those under instances,
// or the value itself.
func members(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(raw, &body) == nil && len(body) == 1 && json.Unmarshal(body["instances"], &list) == nil {
		return list
	}
	return []json.RawMessage{raw}
}

// readCSV reads lines under a header, divided by commas, semicolons or tabs.
func readCSV(b *bufio.Reader, types map[string]string, yield yielding) {
	head, _ := b.Peek(16 << 10)
	if !utf8.Valid(head[:max(0, len(head)-utf8.UTFMax)]) || bytes.IndexByte(head, 0) >= 0 {
		yield(nil, errors.New("it is neither CSV nor JSON nor Parquet"))
		return
	}
	r := csv.NewReader(b)
	r.Comma = divider(head)
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		yield(nil, fmt.Errorf("no CSV: %w", err))
		return
	}
	names := make([]string, len(header))
	for i, name := range header {
		names[i] = strings.Clone(strings.TrimSpace(name))
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(nil, fmt.Errorf("no CSV: %w", err))
			return
		}
		line, _ := r.FieldPos(0)
		object, err := csvObject(names, record, types)
		if err != nil {
			yield(nil, fmt.Errorf("line %d: %w", line, err))
			return
		}
		if !yield(object, nil) {
			return
		}
	}
}

// divider is what stands most often between the names of the header.
func divider(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, most := ',', bytes.Count(line, []byte(","))
	for _, r := range []rune{';', '\t'} {
		if n := bytes.Count(line, []byte(string(r))); n > most {
			best, most = r, n
		}
	}
	return best
}

func csvObject(names, record []string, types map[string]string) (json.RawMessage, error) {
	object := make(map[string]any, len(names))
	for i, name := range names {
		v, err := csvValue(record[i], types[name])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		object[name] = v
	}
	return json.Marshal(object)
}

// csvValue gives a text the type of the column; the words that mean nothing
// are null. A column of no known type stays text: the server says what of it.
func csvValue(text, datatype string) (any, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "na", "nan", "null":
		return nil, nil
	}
	switch {
	case datatype == "BOOL":
		v, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(text)))
		if err != nil {
			return nil, fmt.Errorf("%.40q is not true or false", text)
		}
		return v, nil
	case strings.HasPrefix(datatype, "FP"):
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return nil, fmt.Errorf("%.40q is not a number", text)
		}
		return v, nil
	case strings.HasPrefix(datatype, "INT"), strings.HasPrefix(datatype, "UINT"):
		if v, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return v, nil
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && v == float64(int64(v)) {
			return int64(v), nil
		}
		return text, nil // a timestamp as text, or what the server refuses in its words
	}
	return text, nil
}
