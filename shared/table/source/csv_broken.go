package source

import (
	"context"
	"fmt"
	"strings"
)

// brokenLine is a line of a record that cannot be read.
type brokenLine struct {
	number int64
	text   []byte // until the next line is taken
	reason string
	try    string
}

// leaveOutRecord takes the lines of a record with a fault in its quotes: from the
// one on which it begins to that of the fault. A quote that is not closed is a fault
// of its own line, and what follows is read as if it were not there.
// each is called for every line that may be a record. Other faults are returned.
func (f *csvFile) leaveOutRecord(fault error, each func(brokenLine) error) error {
	e, ok := fault.(*csvError) //nolint:errorlint // it is never wrapped
	if !ok || !e.quotes {
		return fault
	}
	f.broken = true
	for f.line <= e.line {
		l := brokenLine{number: f.line, reason: fmt.Sprintf("belongs to a record whose quotes do not fit on line %d", e.line), try: "close every quote, and write a double quote inside a value twice"}
		if l.number == e.line {
			l.reason, l.try = "is no CSV: "+strings.TrimPrefix(e.reason, fmt.Sprintf("line %d: ", e.line)), e.try
		}
		var err error
		if l.text, err = f.leaveOut(); err != nil {
			return err
		}
		if len(l.text) == 0 && !f.single {
			continue
		}
		if err := each(l); err != nil {
			return err
		}
	}
	return nil
}

// setAsideRecord sets the lines of a record with a fault in its quotes aside, each
// as a row of its own. Without rows that are set aside the fault is returned.
func (in *input) setAsideRecord(b *builder, f *csvFile, fault error) error {
	if b.aside == nil {
		return fault
	}
	return f.leaveOutRecord(fault, func(l brokenLine) error {
		b.faults.addWhole(l.number, l.reason, l.try)
		f.raw = append(f.raw[:0], l.text...)
		return b.wholeRow(l.number, l.reason)
	})
}

// countAgain holds what was read against the file: the records, or the lines where
// some were left out, which the counter of records reads otherwise.
func (in *input) countAgain(ctx context.Context, b *builder, f *csvFile) error {
	if !f.broken {
		if records := f.counter.finish(f.single); records != b.rows+f.skipped {
			return in.reject(fmt.Sprintf("%d records were read, and counting them gives %d", b.rows+f.skipped, records), readInTwoWays)
		}
		return nil
	}
	lines, err := in.countLines(ctx)
	if err != nil {
		return err
	}
	all := max(lines.line, lines.last)
	if footer := int64(in.opts.CSV.Footer); footer > 0 {
		all = lines.last - footer
	}
	if read := f.line - 1; read != all {
		return in.reject(fmt.Sprintf("%d lines were read, and counting them gives %d", read, all), readInTwoWays)
	}
	return nil
}

const readInTwoWays = "report this file: it is read in two ways"
