package source

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// SetAside says what becomes of rows that do not fit the contract. Without it,
// and beyond MaxFraction, the file is refused.
type SetAside struct {
	// Path is the file that such rows are added to, as JSON lines: see AsideRow.
	Path string
	// MaxFraction is the largest share of the rows that may be set aside.
	MaxFraction float64
	// Bounds also sets aside rows with values outside of a column's Bounds.
	Bounds bool
}

// AsideRow is one line of the file of rows that were set aside.
type AsideRow struct {
	// Record is the number of the row among all of the file, from 1; Line the
	// line on which it begins, 0 where there are no lines.
	Record int64 `json:"record"`
	Line   int64 `json:"line,omitempty"`
	// Text is the row as the file has it; of Parquet it is written as JSON.
	Text string `json:"text"`
	// Of says whose row it is, if not the file's: prepare.
	Of     string       `json:"of,omitempty"`
	Faults []AsideFault `json:"faults"`
}

// AsideFault is one reason why a row was set aside.
type AsideFault struct {
	Column string `json:"column,omitempty"` // empty if it is about the whole row
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"` // "is not a number"
}

// Aside is what was set aside of one file.
type Aside struct {
	Rows int64 // that were set aside
	Of   int64 // all rows
	// Reasons are why: one for each column, and one for rows as a whole.
	Reasons []*table.Unreadable
}

// With returns both a and what was set aside later, of what was made of the rows
// of a.
func (a *Aside) With(later *Aside) *Aside {
	if later == nil || later.Rows == 0 {
		return a
	}
	return &Aside{Rows: a.Rows + later.Rows, Of: a.Of, Reasons: append(slices.Clip(a.Reasons), later.Reasons...)}
}

// aside writes rows that are set aside.
type aside struct {
	SetAside
	of     string
	lined  bool // the rows have lines
	file   *os.File
	size   int64 // of the file when it was opened
	w      *bufio.Writer
	bad    map[int64][]AsideFault // by row, from 0, of those that are being read
	count  int64
	drop   []int              // of the rows that are pending: those to leave out
	raw    func(i int) string // the text of row i of those that are ended
	bounds []*cell.Allowed    // of the columns; nil for one without bounds
}

func (b *builder) openAside() error {
	to := b.in.opts.SetAside
	if to == nil {
		return nil
	}
	f, err := os.OpenFile(to.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	b.aside = &aside{
		SetAside: *to, of: b.in.of, lined: b.in.format != JSON && b.in.format != Parquet && b.in.format != Arrow,
		file: f, size: info.Size(), w: bufio.NewWriter(f), bad: map[int64][]AsideFault{}, raw: b.raw,
	}
	for _, c := range b.columns {
		var allowed *cell.Allowed
		if to.Bounds && c.contract != nil {
			allowed = cell.Allow(c.cell.Type(), c.contract.Bounds)
		}
		b.aside.bounds = append(b.aside.bounds, allowed)
	}
	return nil
}

// fault notes a value that does not fit its column, of a row from 0.
func (b *builder) fault(column int, row, line int64, value []byte, r *cell.Refusal) {
	b.faults.add(column, line, value, r)
	if b.aside != nil {
		b.aside.bad[row] = append(b.aside.bad[row], AsideFault{Column: b.columns[column].name, Value: shorten(string(value)), Reason: r.Reason})
	}
}

// wholeRow notes a row that is wrong as a whole and was not added to any
// column.
func (b *builder) wholeRow(line int64, reason string) error {
	row := b.rows
	b.rows++
	if err := b.in.rowsAllowed(b.rows); err != nil || b.aside == nil {
		return err
	}
	return b.aside.write(row, line, b.aside.raw(0), []AsideFault{{Reason: reason}})
}

// malformed notes a line that is no JSON object. What was read of it is in the
// columns, and is left out with the rest of the row.
func (b *builder) malformed(line int64, bad *badLine) {
	b.faults.addWhole(line, bad.reason, bad.try)
	b.aside.bad[b.rows] = []AsideFault{{Reason: bad.reason}}
}

// setAside looks at n rows that were added to every column, the first of them
// on that line, and sets aside those with faults.
func (b *builder) setAside(n int, line int64) error {
	a := b.aside
	for k, allowed := range a.bounds {
		if allowed == nil {
			continue
		}
		for i := range n {
			c := b.columns[k]
			if slices.ContainsFunc(a.bad[b.rows+int64(i)], func(f AsideFault) bool { return f.Column == c.name || f.Column == "" }) {
				continue // it is missing because what the file has does not fit
			}
			if r := c.cell.Outside(allowed, b.pending+i); r != nil {
				b.fault(k, b.rows+int64(i), line+int64(i), []byte(c.cell.Text(b.pending+i)), r)
			}
		}
	}
	if len(a.bad) == 0 {
		return nil
	}
	for i := range n {
		row := b.rows + int64(i)
		found := a.bad[row]
		if found == nil {
			continue
		}
		delete(a.bad, row)
		a.drop = append(a.drop, b.pending+i)
		if err := a.write(row, line+int64(i), a.raw(i), found); err != nil {
			return err
		}
	}
	return nil
}

func (a *aside) write(row, line int64, text string, found []AsideFault) error {
	a.count++
	if !a.lined {
		line = 0
	}
	one, err := json.Marshal(AsideRow{Record: row + 1, Line: line, Text: text, Of: a.of, Faults: found})
	if err != nil {
		return err
	}
	_, err = a.w.Write(append(one, '\n'))
	return err
}

// abort takes back what was written.
func (a *aside) abort() {
	_ = a.file.Truncate(a.size)
	_ = a.file.Close()
}

// finish reports whether more was set aside than is allowed.
func (a *aside) finish(b *builder) (*Aside, error) {
	if err := errors.Join(a.w.Flush(), a.file.Close()); err != nil {
		return nil, err
	}
	done := &Aside{Rows: a.count, Of: b.rows}
	if a.count == 0 {
		return done, nil
	}
	why := b.faults.err(b)
	done.Reasons = table.Unreadables(why)
	share := float64(a.count) / float64(b.rows)
	switch {
	case share > a.MaxFraction:
		return nil, errors.Join(why, b.in.reject(
			fmt.Sprintf("%d of %d rows (%s) would have to be set aside, and data.quarantine allows %s", a.count, b.rows, table.Percent(share), table.Percent(a.MaxFraction)),
			"correct the rows, or raise max_fraction"))
	case a.count == b.rows:
		return nil, errors.Join(why, b.in.reject("no rows are left: all would have to be set aside", "correct the rows"))
	}
	return done, nil
}

// without returns v without the rows, which are in ascending order. It changes v.
func without(v table.Vector, rows []int) table.Vector {
	return table.Vector{
		Strings: leave(v.Strings, rows), Ints: leave(v.Ints, rows), Floats: leave(v.Floats, rows), Bools: leave(v.Bools, rows), Nulls: leave(v.Nulls, rows),
	}
}

func leave[T any](values []T, rows []int) []T {
	if len(values) == 0 {
		return values
	}
	kept := values[:rows[0]]
	for i, row := range rows {
		end := len(values)
		if i+1 < len(rows) {
			end = rows[i+1]
		}
		kept = append(kept, values[row+1:end]...)
	}
	return kept
}
