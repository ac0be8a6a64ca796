package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// field is one value of a CSV record. Its text is valid until the next record.
type field struct {
	text    []byte
	quoted  bool
	doubled bool // a quote inside is written twice
}

// csvReader reads the records of a CSV text as RFC 4180 has them, whatever its
// lines end with: LF, CRLF or CR. A quote inside a value that does not begin
// with one is a character like any other.
type csvReader struct {
	r       io.Reader
	comma   byte
	quote   byte // 0: nothing is quoted
	comment byte // what lines that are not records begin with; 0: nothing
	most    int  // bytes of a record
	columns int  // most columns of the header; 0 once it is read

	buf        []byte
	start, end int // of what is read and not yet taken
	eof        bool
	line       int64 // on which the next record begins, from 1
	fields     []field
	keeps      bool   // raw is wanted
	raw        []byte // the record as it is written, until the next
	single     bool   // empty lines are records, of one missing value
}

func newCSVReader(r io.Reader, d Dialect, most int64) *csvReader {
	c := &csvReader{r: r, comma: d.Delimiter, quote: '"', comment: d.Comment, most: int(most), buf: make([]byte, 256<<10), line: 1}
	if d.Quote != nil {
		c.quote = *d.Quote
	}
	return c
}

// csvError is what is wrong with a record.
type csvError struct {
	line   int64
	reason string
	try    string
	quotes bool // it is about quotes: with the lines up to that one left out, reading can continue
}

func (e *csvError) Error() string { return e.reason }

var errMore = errors.New("the record is longer than the buffer")

// next returns the next record and the line on which it begins, and io.EOF
// after the last. Empty lines are passed over, except in a file of one column,
// where they are records.
func (c *csvReader) next() ([]field, int64, error) {
	for {
		if c.start == c.end {
			if err := c.fill(); err != nil {
				return nil, 0, err
			}
			if c.start == c.end {
				return nil, 0, io.EOF
			}
		}
		n, lines, blank, err := c.parse(c.buf[c.start:c.end])
		if errors.Is(err, errMore) {
			if err := c.fill(); err != nil {
				return nil, 0, err
			}
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		line := c.line
		c.keep(n)
		c.start += n
		c.line += lines
		if blank {
			continue
		}
		c.unescape()
		return c.fields, line, nil
	}
}

// keep notes the record of n bytes as it is written, which unescape would change.
func (c *csvReader) keep(n int) {
	if c.keeps {
		c.raw = append(c.raw[:0], c.buf[c.start:c.start+n]...)
	}
}

// leaveOut takes one line whatever is in it, and returns it without its break. The
// next record begins behind it.
func (c *csvReader) leaveOut() ([]byte, error) {
	for {
		rest := c.buf[c.start:c.end]
		i := bytes.IndexAny(rest, "\r\n")
		n := 0
		if i >= 0 {
			n = c.lineEnd(rest, i)
		}
		if n > 0 || c.eof {
			if i < 0 {
				i = len(rest)
			}
			c.start += i + n
			c.line++
			return rest[:i], nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more behind what is not yet taken.
func (c *csvReader) fill() error {
	if c.eof {
		return nil
	}
	copy(c.buf, c.buf[c.start:c.end])
	c.start, c.end = 0, c.end-c.start
	if c.end > c.most {
		return c.tooLong()
	}
	if c.end == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	for c.end < len(c.buf) {
		n, err := c.r.Read(c.buf[c.end:])
		c.end += n
		if errors.Is(err, io.EOF) {
			c.eof = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *csvReader) tooLong() error {
	if c.columns > 0 && bytes.Count(c.buf[:c.end], []byte{c.comma}) >= c.columns {
		return c.manyColumns()
	}
	return &csvError{line: c.line, reason: fmt.Sprintf("line %d is longer than the %s that are allowed", c.line, size(int64(c.most))), try: "check that lines end as they should"}
}

func (c *csvReader) manyColumns() error {
	return &csvError{line: c.line, reason: fmt.Sprintf("the header has more than the %d columns that are allowed", c.columns), try: "leave out columns"}
}

// lineEnd returns the length of the line break at b[i], 0 if no line break is there, -1
// if the following byte decides.
func (c *csvReader) lineEnd(b []byte, i int) int {
	switch {
	case b[i] == '\n':
		return 1
	case b[i] != '\r':
		return 0
	case i+1 < len(b) && b[i+1] == '\n':
		return 2
	case i+1 == len(b) && !c.eof:
		return -1
	}
	return 1
}

// parse takes one record from the beginning of b, which is not empty. It
// returns how many bytes and lines it has, and whether it is no record.
func (c *csvReader) parse(b []byte) (n int, lines int64, blank bool, err error) {
	c.fields = c.fields[:0]
	switch end := c.lineEnd(b, 0); {
	case end < 0:
		return 0, 0, false, errMore
	case end > 0:
		c.fields = append(c.fields, field{})
		return end, 1, !c.single, nil
	}
	if b[0] == c.comment && c.comment != 0 {
		return c.restOfLine(b)
	}
	i := 0
	for {
		// A value begins at i.
		if i < len(b) && b[i] == c.quote && c.quote != 0 {
			end, broken, err := c.quoted(b, i)
			if err != nil {
				return 0, 0, false, err
			}
			lines, i = lines+broken, end
		} else {
			from := i
			for i < len(b) && b[i] != c.comma && b[i] != '\n' && b[i] != '\r' {
				i++
			}
			c.fields = append(c.fields, field{text: b[from:i:i]})
			if t := bytes.TrimLeft(b[from:i], " "); c.quote != 0 && len(t) > 0 && t[0] == c.quote {
				return 0, 0, false, &csvError{
					line: c.line + lines, reason: fmt.Sprintf("line %d: a space stands before a quote, which then does not open a value", c.line+lines),
					try: "remove the space", quotes: true,
				}
			}
		}
		if i == len(b) {
			if !c.eof {
				return 0, 0, false, errMore
			}
			return i, lines + 1, false, nil
		}
		if b[i] == c.comma {
			i++
			continue
		}
		switch end := c.lineEnd(b, i); {
		case end < 0:
			return 0, 0, false, errMore
		default:
			return i + end, lines + 1, false, nil
		}
	}
}

// restOfLine passes over a comment.
func (c *csvReader) restOfLine(b []byte) (int, int64, bool, error) {
	i := bytes.IndexAny(b, "\r\n")
	if i < 0 && !c.eof {
		return 0, 0, false, errMore
	}
	if i < 0 {
		return len(b), 1, true, nil
	}
	end := c.lineEnd(b, i)
	if end < 0 {
		return 0, 0, false, errMore
	}
	return i + end, 1, true, nil
}

// quoted takes the value whose opening quote is b[i]. It returns where the
// value ends and how many line breaks it has.
func (c *csvReader) quoted(b []byte, i int) (end int, lines int64, err error) {
	opened := i
	i++
	from := i
	doubled := false
	for {
		j := bytes.IndexByte(b[i:], c.quote)
		if j < 0 || i+j+1 == len(b) && !c.eof {
			if !c.eof && len(b) <= c.most {
				return 0, 0, errMore
			}
			if j < 0 {
				line := c.line + lineBreaks(b[:opened])
				return 0, 0, &csvError{
					line: line, reason: fmt.Sprintf("line %d: a double quote is opened and not closed", line),
					try: "close it, or write a double quote inside a value twice", quotes: true,
				}
			}
		}
		i += j + 1
		if i < len(b) && b[i] == c.quote {
			doubled = true
			i++
			continue
		}
		break
	}
	text := b[from : i-1 : i-1]
	lines = lineBreaks(text)
	if i < len(b) && b[i] != c.comma && b[i] != '\n' && b[i] != '\r' {
		line := c.line + lineBreaks(b[:i])
		return 0, 0, &csvError{
			line: line, reason: fmt.Sprintf("line %d: text follows the quote that closes a value", line),
			try: "write a double quote inside a value twice", quotes: true,
		}
	}
	c.fields = append(c.fields, field{text, true, doubled})
	return i, lines, nil
}

// unescape takes the second of doubled quotes out of values, in place.
func (c *csvReader) unescape() {
	for i := range c.fields {
		f := &c.fields[i]
		if !f.doubled {
			continue
		}
		out := f.text[:0]
		for k := 0; k < len(f.text); k++ {
			out = append(out, f.text[k])
			if f.text[k] == c.quote {
				k++
			}
		}
		f.text = out
	}
}

// lineBreaks counts LF, CRLF and CR.
func lineBreaks(b []byte) int64 {
	n := bytes.Count(b, []byte{'\n'})
	if bytes.IndexByte(b, '\r') < 0 {
		return int64(n)
	}
	return int64(n + bytes.Count(b, []byte{'\r'}) - bytes.Count(b, []byte("\r\n")))
}
