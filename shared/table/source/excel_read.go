package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// excelFile is a sheet whose header was read.
type excelFile struct {
	w     *workbook
	sheet *sheet
	names []string
	head  int64 // rows before the data
	rows  int64 // of the table so far
	last  int64 // the number of the last row
	held  []sheetCell
	until int64       // the number of the row that is held, 0: none
	now   []sheetCell // the row that next returned
}

func (f *excelFile) Close() error { return errors.Join(f.sheet.Close(), f.w.Close()) }

// openTable opens the workbook and reads the header of its sheet.
func (in *input) openTable(ctx context.Context) (*excelFile, error) {
	w, err := in.openExcel(ctx)
	if err != nil {
		return nil, err
	}
	s, err := w.openSheet()
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	f := &excelFile{w: w, sheet: s}
	if err := f.readHeader(in); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readHeader reads the header: the first row with a value after those to skip.
func (f *excelFile) readHeader(in *input) error {
	layout := in.opts.Excel
	for f.names == nil {
		cells, row, err := f.sheet.next()
		if errors.Is(err, io.EOF) {
			return in.reject("the sheet has no header", "write the names of the columns into its first row, or name another sheet in data.xlsx.sheet")
		}
		if err != nil {
			return err
		}
		f.head++
		if row <= int64(layout.Skip) {
			continue
		}
		for _, v := range cells {
			f.names = append(f.names, string(v.text))
		}
		if err := in.checkNames(f.names, row); err != nil {
			return err
		}
		f.last = row
	}
	for range max(layout.Header, 1) - 1 {
		_, row, err := f.sheet.next()
		if errors.Is(err, io.EOF) {
			return in.reject("it has no rows", "add at least one row")
		}
		if err != nil {
			return err
		}
		f.head, f.last = f.head+1, row
	}
	return nil
}

// next returns the next row of the table. Rows without a value are left out, but
// between others in a table of one column, where each is a missing value.
func (f *excelFile) next() ([]sheetCell, int64, error) {
	if f.until == 0 {
		cells, row, err := f.sheet.next()
		if err != nil {
			return nil, 0, err
		}
		f.held, f.until = cells, row
	}
	if f.last++; len(f.names) == 1 && f.last < f.until {
		f.now = nil
		return nil, f.last, nil
	}
	f.now, f.last, f.until = f.held, f.until, 0
	f.rows++
	return f.now, f.last, nil
}

// readExcel reads a workbook into b.
func (in *input) readExcel(ctx context.Context, b *builder) error {
	types, err := in.inferExcel(ctx)
	if err != nil {
		return err
	}
	f, err := in.openTable(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	slots, err := b.planExcel(f, types)
	if err != nil {
		return err
	}
	for {
		cells, row, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(cells) > len(slots) {
			reason := fmt.Sprintf("has a value in column %s, and the header has %d columns", columnName(len(cells)-1), len(slots))
			b.faults.addWhole(row, reason, "name every column in the header, or clear cells beside the table")
			if err := b.wholeRow(row, reason); err != nil {
				return err
			}
			continue
		}
		for i, slot := range slots {
			if slot < 0 {
				continue
			}
			var v sheetCell
			if i < len(cells) {
				v = cells[i]
			}
			if r := b.columns[slot].addExcel(v); r != nil {
				b.fault(slot, b.rows, row, v.text, r)
			}
		}
		if err := b.endRow(row); err != nil {
			return err
		}
	}
	if read := f.head + f.rows + f.sheet.blank; read != f.sheet.counter.rows {
		return in.reject(fmt.Sprintf("%d rows of the sheet were read, and counting them gives %d", read, f.sheet.counter.rows), readInTwoWays)
	}
	return nil
}

// planExcel is plan, and says how a row is written that is set aside.
func (b *builder) planExcel(f *excelFile, types func(i int) table.Type) ([]int, error) {
	b.raw = func(int) string { return excelText(f.names, f.now) }
	return b.plan(f.names, types)
}

// addExcel adds a cell to a column.
func (c *outColumn) addExcel(v sheetCell) *cell.Refusal {
	switch v.kind {
	case badCell:
		c.cell.AddNull()
		return v.refusal
	case timeCell:
		return c.cell.AddTime(v.micros, true, v.date)
	case boolCell:
		return c.cell.AddBool(string(v.text) == "true")
	case emptyCell:
		return c.cell.AddText(nil, false)
	}
	if v.percent && c.contract != nil && c.contract.Rule.Percent {
		v.text = hundredfold(v.text)
	}
	return c.cell.AddText(v.text, false)
}

// excelText writes a row as a JSON object of texts.
func excelText(names []string, cells []sheetCell) string {
	text := []byte{'{'}
	for i, v := range cells {
		if v.kind == emptyCell {
			continue
		}
		name := columnName(i)
		if i < len(names) {
			name = names[i]
		}
		key, _ := json.Marshal(name) // a text cannot fail
		value, _ := json.Marshal(string(v.text))
		if len(text) > 1 {
			text = append(text, ", "...)
		}
		text = append(append(append(text, key...), ": "...), value...)
	}
	return string(append(text, '}'))
}

// inferExcel finds the types of columns that the contract does not list, where
// they are wanted.
func (in *input) inferExcel(ctx context.Context) (func(int) table.Type, error) {
	if in.opts.Extra != Infer {
		return nil, nil
	}
	f, err := in.openTable(ctx)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := newInferences(len(f.names), in.opts.Nulls)
	for {
		cells, _, err := f.next()
		if errors.Is(err, io.EOF) {
			return found.typeOf, nil
		}
		if err != nil {
			return nil, err
		}
		for i, v := range cells[:min(len(cells), len(found))] {
			found[i].See(v.text, false)
		}
	}
}
