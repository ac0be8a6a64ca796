package source

import (
	"errors"
	"fmt"
	"strings"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// faults are the values that do not fit their columns, and the rows that are
// wrong as a whole: that do not fit the header, or are no JSON.
type faults struct {
	columns map[int]*fault
	whole   *fault
}

// fault is what is wrong with one column: how often, and the first of it.
type fault struct {
	count   int64
	refusal *cell.Refusal // of the first value, or of the first that is ambiguous
	first   table.Example
	found   []table.Example
}

func (f *faults) any() bool { return len(f.columns) > 0 || f.whole != nil }

// add counts a value that does not fit its column.
func (f *faults) add(column int, line int64, value []byte, r *cell.Refusal) {
	if f.columns == nil {
		f.columns = map[int]*fault{}
	}
	c := f.columns[column]
	if c == nil {
		c = &fault{}
		f.columns[column] = c
	}
	c.add(line, shorten(string(value)), r)
}

// addRagged counts a row with another number of values than the header, and
// returns what is wrong with it.
func (f *faults) addRagged(line int64, values, columns int) string {
	reason := fmt.Sprintf("has %d values, and the header has %d columns", values, columns)
	f.addWhole(line, reason, "put values that contain the separator into double quotes")
	return reason
}

// addWhole counts a row that is wrong as a whole.
func (f *faults) addWhole(line int64, reason, try string) {
	if f.whole == nil {
		f.whole = &fault{}
	}
	f.whole.add(line, "", &cell.Refusal{Reason: reason, Try: try})
}

func (f *fault) add(line int64, value string, r *cell.Refusal) {
	f.count++
	if f.refusal == nil || r.Ambiguous && !f.refusal.Ambiguous {
		f.refusal, f.first = r, table.Example{Line: line, Value: value}
	}
	if len(f.found) < table.MaxExamples {
		f.found = append(f.found, table.Example{Line: line, Value: value})
	}
}

// err lists the faults in the order of the columns.
func (f *faults) err(b *builder) error {
	var all []error
	place := b.in.place()
	if w := f.whole; w != nil {
		u := b.in.rejectLine(w.first.Line, fmt.Sprintf("%s %d %s%s", place, w.first.Line, w.refusal.Reason, w.more("row", b.rows)), w.refusal.Try)
		u.Count, u.Examples = w.count, w.found
		all = append(all, u)
	}
	for i, c := range b.columns {
		fault := f.columns[i]
		if fault == nil {
			continue
		}
		first := fault.first
		u := b.in.rejectLine(first.Line, fmt.Sprintf("%s %d, column %q: %q %s%s", place, first.Line, c.name, first.Value, fault.refusal.Reason, fault.more("value", b.rows)), fault.refusal.Try)
		u.Column, u.Value, u.Count, u.Examples = c.name, first.Value, fault.count, fault.found
		all = append(all, u)
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// place is what rows of the file are numbered by.
func (in *input) place() string {
	switch in.format {
	case Parquet, Arrow, Excel:
		return "row"
	}
	return "line"
}

// more says how many others there are.
func (f *fault) more(what string, rows int64) string {
	if f.count == 1 {
		return ""
	}
	var places []string
	for _, e := range f.found[:min(len(f.found), 6)] {
		if e.Line != f.first.Line && len(places) < 5 {
			places = append(places, fmt.Sprint(e.Line))
		}
	}
	if int64(len(places)) < f.count-1 {
		places = append(places, "...")
	}
	return fmt.Sprintf(" (%d of %d %ss are wrong; others: %s)", f.count, rows, what, strings.Join(places, ", "))
}

// shorten cuts a value for a message.
func shorten(s string) string {
	const most = 80
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return s
}
