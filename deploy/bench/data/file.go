package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/table"
)

// write writes the table to path, in the format that its extension names.
func (b *bench) write(path string) error {
	if filepath.Ext(path) == ".parquet" {
		return b.writeParquet(path)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	s := b.schema()
	csv := filepath.Ext(path) == ".csv"
	if csv {
		if _, err := w.WriteString(strings.Join(s.Names(), ",") + "\n"); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	rows := newRows(b.wide)
	var line []byte
	for range b.shape() {
		line = appendRow(line[:0], s, rows.next(), csv)
		if _, err := w.Write(line); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// appendRow appends a row as CSV, or as a JSON object.
func appendRow(line []byte, s table.Schema, values []string, csv bool) []byte {
	if csv {
		return append(append(line, strings.Join(values, ",")...), '\n')
	}
	line = append(line, '{')
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(strconv.AppendQuote(line, s[i].Name), ':')
		if s[i].Type == table.String || s[i].Type == table.Timestamp {
			v = strconv.Quote(v)
		}
		line = append(line, v...)
	}
	return append(line, '}', '\n')
}

func (b *bench) writeParquet(path string) error {
	s := b.schema()
	w, err := table.Create(path, s)
	if err != nil {
		return err
	}
	defer w.Abort()
	rows := newRows(b.wide)
	for left := b.shape(); left > 0; {
		n := min(left, 1000)
		batch := &table.Batch{Rows: n, Columns: make([]table.Vector, len(s))}
		for range n {
			for i, v := range rows.next() {
				if err := add(&batch.Columns[i], s[i].Type, v); err != nil {
					return err
				}
			}
		}
		if err := w.Write(batch); err != nil {
			return err
		}
		left -= n
	}
	return w.Close()
}

func add(to *table.Vector, typ table.Type, text string) error {
	switch typ {
	case table.String:
		to.Strings = append(to.Strings, text)
	case table.Bool:
		to.Bools = append(to.Bools, text == "true")
	case table.Float:
		f, err := strconv.ParseFloat(text, 64)
		to.Floats = append(to.Floats, f)
		return err
	case table.Timestamp:
		t, err := time.Parse(time.DateTime, text)
		to.Ints = append(to.Ints, t.UnixMicro())
		return err
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		to.Ints = append(to.Ints, n)
		return err
	}
	return nil
}

// rows makes the same rows each time.
type rows struct {
	rand   *rand.Rand
	id     int
	values []string
}

func newRows(wide bool) *rows {
	n := 6
	if wide {
		n = wideColumns
	}
	return &rows{rand: rand.New(rand.NewPCG(1, 2)), values: make([]string, n)}
}

func (r *rows) next() []string {
	if len(r.values) == wideColumns {
		for i := range r.values {
			r.values[i] = strconv.FormatFloat(r.rand.NormFloat64(), 'g', 6, 64)
		}
		return r.values
	}
	r.id++
	delay := r.rand.NormFloat64() * 30
	r.values[0] = strconv.Itoa(r.id)
	r.values[1] = time.Unix(1_700_000_000+int64(r.id), 0).UTC().Format(time.DateTime)
	r.values[2] = "C" + strconv.Itoa(r.rand.IntN(16))
	r.values[3] = strconv.Itoa(r.rand.IntN(5000))
	r.values[4] = fmt.Sprintf("%.2f", delay)
	r.values[5] = strconv.FormatBool(delay > 15)
	return r.values
}
