package source

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"millrace.dev/shared/table/cell"
)

// sheetCell is one cell. The zero value is an empty one.
type sheetCell struct {
	kind    cellKind
	text    []byte // as the file has it; of a time as ISO 8601
	micros  int64  // of a time
	date    bool   // a time that is a day
	percent bool   // a number that is shown in percent
	refusal *cell.Refusal
}

type cellKind int

const (
	emptyCell cellKind = iota
	textCell           // a text, a number, or an error such as #N/A
	boolCell
	timeCell
	badCell // with a refusal, whatever its column is
)

func (v sheetCell) refused(reason, try string) sheetCell {
	v.kind, v.refusal = badCell, &cell.Refusal{Reason: reason, Try: try}
	return v
}

// sheet reads the rows of a sheet.
type sheet struct {
	*part
	counter rowCounter
	begun   bool // sheetData was found
	ended   bool
	seen    int64 // elements row
	blank   int64 // of those, rows without a value
	row     int64 // the number of the last one, from 1
	cells   []sheetCell
	size    int64 // of the values of the row
}

// openSheet opens the sheet of the workbook.
func (w *workbook) openSheet() (*sheet, error) {
	s := &sheet{}
	var err error
	s.part, err = w.open(w.sheet, &s.counter)
	return s, err
}

// next returns the cells and the number of the next row that has a value, and
// io.EOF after the last. They are valid until the next call.
func (s *sheet) next() ([]sheetCell, int64, error) {
	for !s.ended {
		t, err := s.part.next()
		if errors.Is(err, io.EOF) && !s.begun {
			return nil, 0, s.w.in.reject("the sheet has no cells", "name a sheet with a table in data.xlsx.sheet")
		}
		if err != nil {
			return nil, 0, s.cut(err)
		}
		switch e := t.(type) {
		case xml.StartElement:
			switch {
			case e.Name.Local == "sheetData":
				s.begun = true
			case s.begun && e.Name.Local == "row":
				if err := s.readRow(e); err != nil {
					return nil, 0, err
				}
				if len(s.cells) > 0 {
					return s.cells, s.row, nil
				}
				s.blank++
			}
		case xml.EndElement:
			if e.Name.Local == "sheetData" {
				s.ended = true
				if err := s.rest(); err != nil {
					return nil, 0, err
				}
			}
		}
	}
	return nil, 0, io.EOF
}

// readRow reads the element row that has just begun.
func (s *sheet) readRow(e xml.StartElement) error {
	number := s.row + 1
	if r := attr(e, "r"); r != "" {
		n, err := strconv.ParseInt(r, 10, 64)
		if err != nil || n < number || n > maxExcelRow {
			return s.w.in.rejectLine(number, fmt.Sprintf("the row after row %d says that it is row %q", s.row, r), saveWorkbook)
		}
		number = n
	}
	s.row, s.cells, s.size = number, s.cells[:0], 0
	s.seen++
	next := 0
	for end := s.depth - 1; s.depth > end; {
		t, err := s.part.next()
		if err != nil {
			return s.cut(err)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local != "c" {
			if err := s.skip(); err != nil {
				return err
			}
			continue
		}
		at, err := s.column(attr(e, "r"), next)
		if err != nil {
			return err
		}
		next = at + 1
		v, err := s.readCell(e)
		if err != nil {
			return err
		}
		if err := s.place(at, v); err != nil {
			return err
		}
	}
	return nil
}

// place puts a cell into the row. Cells that are left out are empty.
func (s *sheet) place(at int, v sheetCell) error {
	if v.kind == emptyCell {
		return nil
	}
	for len(s.cells) <= at {
		s.cells = append(s.cells, sheetCell{})
	}
	if s.cells[at].kind != emptyCell {
		return s.w.in.rejectLine(s.row, fmt.Sprintf("row %d has the cell %s%d twice", s.row, columnName(at), s.row), saveWorkbook)
	}
	s.cells[at] = v
	if s.size += int64(len(v.text)); s.size > s.w.in.lim.LineBytes {
		return s.w.in.rejectLine(s.row, fmt.Sprintf("row %d is longer than the %s that are allowed", s.row, size(s.w.in.lim.LineBytes)), "shorten its values")
	}
	return nil
}

// readCell reads the element c that has just begun.
func (s *sheet) readCell(e xml.StartElement) (sheetCell, error) {
	typ, style := attr(e, "t"), attr(e, "s")
	var value, formula []byte
	var has, isFormula bool
	for end := s.depth - 1; s.depth > end; {
		t, err := s.part.next()
		if err != nil {
			return sheetCell{}, s.cut(err)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "v":
			has = true
			value, err = s.content(nil)
		case "f":
			isFormula = true
			formula, err = s.content([]byte("="))
		case "is":
			has = true
			value, err = s.text(nil)
		default:
			err = s.skip()
		}
		if err != nil {
			return sheetCell{}, err
		}
	}
	switch {
	case isFormula && len(value) == 0 && typ != "str":
		v := sheetCell{text: formula}
		return v.refused("is a formula whose value is not in the file", saveWorkbook), nil
	case !has:
		return sheetCell{}, nil
	}
	return s.value(typ, style, value)
}

// content adds the text of the element that has just begun to to.
func (s *sheet) content(to []byte) ([]byte, error) {
	for end := s.depth - 1; s.depth > end; {
		t, err := s.part.next()
		if err != nil {
			return nil, s.cut(err)
		}
		if text, ok := t.(xml.CharData); ok {
			to = append(to, text...)
		}
	}
	return to, nil
}

// value is a cell by its type and its style.
func (s *sheet) value(typ, style string, text []byte) (sheetCell, error) {
	v := sheetCell{kind: textCell, text: text}
	switch typ {
	case "s":
		n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
		shared, ok := s.w.strings.at(n)
		if err != nil || !ok {
			return v, s.w.in.rejectLine(s.row, fmt.Sprintf("row %d names the text %q, and the workbook has %d texts", s.row, shorten(string(text)), len(s.w.strings.ends)), saveWorkbook)
		}
		v.text = shared
	case "str":
		v.text = unescapeExcel(text, 0)
	case "b":
		v.kind = boolCell
		v.text = []byte(strconv.FormatBool(string(text) == "1" || string(text) == "true"))
	case "", "n":
		if len(text) == 0 {
			return sheetCell{}, nil
		}
		if n, err := strconv.Atoi(style); err == nil && n >= 0 && n < len(s.w.styles) {
			return s.w.styled(v, s.w.styles[n]), nil
		}
	case "inlineStr", "e", "d":
	default:
		return v, s.w.in.rejectLine(s.row, fmt.Sprintf("row %d has a cell of the type %q, which is unknown", s.row, typ), saveWorkbook)
	}
	return v, nil
}

// column returns the column of a cell by its name, such as C7, from 0; without a
// name it is the next.
func (s *sheet) column(name string, next int) (int, error) {
	at := next
	if letters := strings.TrimRight(name, "0123456789"); name != "" {
		at = 0
		for _, c := range []byte(letters) {
			if c < 'A' || c > 'Z' || at > 1<<20 {
				at = 0
				break
			}
			at = at*26 + int(c-'A') + 1
		}
		if at == 0 || name[len(letters):] != strconv.FormatInt(s.row, 10) {
			return 0, s.w.in.rejectLine(s.row, fmt.Sprintf("row %d has a cell with the name %q", s.row, shorten(name)), saveWorkbook)
		}
		at--
	}
	if at >= s.w.in.lim.Columns {
		return 0, s.w.in.rejectLine(s.row, fmt.Sprintf("row %d has more than the %d columns that are allowed", s.row, s.w.in.lim.Columns), "leave out columns")
	}
	return at, nil
}

// columnName is the name of a column from 0: A, B, ..., Z, AA.
func columnName(i int) string {
	var name string
	for i++; i > 0; i = (i - 1) / 26 {
		name = string(rune('A'+(i-1)%26)) + name
	}
	return name
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// rowCounter counts the rows of a sheet independently of sheet: it looks for
// the tags in the bytes. What was read is held against it.
type rowCounter struct {
	rows  int64
	tag   []byte // what is read of a tag's name
	inTag bool
	state int // 0 before the data, 1 in it, 2 after it
}

func (c *rowCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '<':
			c.inTag, c.tag = true, c.tag[:0]
		case !c.inTag:
		case b == '>' || b == ' ' || b == '\t' || b == '\n' || b == '\r' || b == '/' && len(c.tag) > 0:
			c.inTag = false
			c.step(string(c.tag[bytes.IndexByte(c.tag, ':')+1:]), len(c.tag) > 0 && c.tag[0] == '/')
		case len(c.tag) < 64:
			c.tag = append(c.tag, b)
		}
	}
	return len(p), nil
}

func (c *rowCounter) step(name string, end bool) {
	name = strings.TrimPrefix(name, "/")
	switch {
	case name == "sheetData" && end && c.state == 1:
		c.state = 2
	case name == "sheetData" && !end && c.state == 0:
		c.state = 1
	case name == "row" && !end && c.state == 1:
		c.rows++
	}
}
