package source

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxStrings is how much memory the texts of a workbook may take. Excel writes
// each text once, apart from the sheets.
const maxStrings = 128 << 20

// sharedStrings are the texts that cells name by number.
type sharedStrings struct {
	text []byte
	ends []int
}

func (s *sharedStrings) at(i int) ([]byte, bool) {
	if i < 0 || i >= len(s.ends) {
		return nil, false
	}
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.text[from:s.ends[i]:s.ends[i]], true
}

// readStrings reads the part with the texts, if the workbook has one.
func (w *workbook) readStrings(name string) error {
	w.strings = &sharedStrings{}
	if name == "" || w.parts[name] == nil {
		return nil
	}
	p, err := w.open(name, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	s := w.strings
	for {
		t, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e, ok := t.(xml.StartElement); !ok || e.Name.Local != "si" {
			continue
		}
		if s.text, err = p.text(s.text); err != nil {
			return err
		}
		s.ends = append(s.ends, len(s.text))
		if len(s.text)+8*len(s.ends) > maxStrings {
			return w.in.reject(fmt.Sprintf("it has more than %s of different texts", size(maxStrings)), "split it, or save it as CSV")
		}
	}
}

// text adds the text of the element that has just begun to to, and reads the
// element to its end: the runs of a rich text, without how East Asian ones are spoken.
func (p *part) text(to []byte) ([]byte, error) {
	from := len(to)
	wanted, end := 0, p.depth-1 // wanted is the depth of the element t that is being read
	for {
		t, err := p.next()
		if err != nil {
			return nil, p.cut(err)
		}
		switch e := t.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "t":
				wanted = p.depth
			case "rPh":
				if err := p.skip(); err != nil {
					return nil, err
				}
			}
		case xml.EndElement:
			if p.depth < wanted {
				wanted = 0
			}
			if p.depth == end {
				return unescapeExcel(to, from), nil
			}
		case xml.CharData:
			if wanted > 0 {
				to = append(to, e...)
			}
		}
		if int64(len(to)-from) > p.w.in.lim.LineBytes {
			return nil, p.w.in.reject(fmt.Sprintf("a text is longer than the %s that are allowed", size(p.w.in.lim.LineBytes)), "shorten it")
		}
	}
}

// skip reads the element that has just begun to its end.
func (p *part) skip() error {
	for end := p.depth - 1; p.depth > end; {
		if _, err := p.next(); err != nil {
			return p.cut(err)
		}
	}
	return nil
}

// cut says that a part ends too early.
func (p *part) cut(err error) error {
	if errors.Is(err, io.EOF) {
		return p.fault(io.ErrUnexpectedEOF)
	}
	return err
}

// unescapeExcel replaces _x000D_ and the like, by which Excel writes characters that XML
// does not allow, in what follows from.
func unescapeExcel(text []byte, from int) []byte {
	if !bytes.Contains(text[from:], []byte("_x")) {
		return text
	}
	out := text[:from]
	for i := from; i < len(text); i++ {
		if i+7 <= len(text) && text[i] == '_' && text[i+1] == 'x' && text[i+6] == '_' {
			// Halves of surrogate pairs are no characters and stay as they are.
			if n, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16); err == nil && (n < 0xd800 || n > 0xdfff) {
				out = append(out, string(rune(n))...)
				i += 6
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}
