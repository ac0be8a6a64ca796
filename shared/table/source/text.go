package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// encodings are the names that a dialect may give, in lower case.
var encodings = map[string]encoding.Encoding{
	"utf-8": nil, "utf8": nil,
	"utf-16":   unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"utf-16le": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "utf-16be": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	"latin-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "iso-8859-1": charmap.ISO8859_1,
	"latin-9": charmap.ISO8859_15, "iso-8859-15": charmap.ISO8859_15, "iso-8859-2": charmap.ISO8859_2,
	"cp1250": charmap.Windows1250, "windows-1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "windows-1251": charmap.Windows1251,
	"cp1252": charmap.Windows1252, "windows-1252": charmap.Windows1252, "cp437": charmap.CodePage437, "cp850": charmap.CodePage850,
	"mac-roman": charmap.Macintosh,
}

// KnownEncoding reports whether a file can be in the encoding of that name.
func KnownEncoding(name string) bool {
	_, ok := encodings[strings.ToLower(name)]
	return ok
}

const saveAsUTF8 = "save the file as text in UTF-8, or state data.csv.encoding"

// text returns the file as UTF-8 without a byte order mark. Reading what is not
// text is a *table.Unreadable that names the line.
func (in *input) text(ctx context.Context) (*unpacked, error) {
	u, err := in.open(ctx)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(u.Reader, 64<<10)
	head, err := b.Peek(16)
	if err != nil && len(head) == 0 {
		if errors.Is(err, io.EOF) {
			err = in.reject("the file is empty", "write its rows into it")
		}
		return nil, errors.Join(err, u.Close())
	}
	name := strings.ToLower(in.opts.CSV.Encoding)
	if in.format == JSON || in.format == Lines {
		name = ""
	}
	enc := encodings[name]
	switch is := misnamed(head); {
	case is != "":
		err = in.reject("its name says text, but it is "+is, "")
	case enc == nil && (bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff})):
		err = in.rejectLine(1, "it is UTF-16", "save the file as text in UTF-8, or state data.csv.encoding: utf-16")
	default:
		err = nil
	}
	if err != nil {
		return nil, errors.Join(err, u.Close())
	}
	u.Reader = b
	if enc != nil {
		u.Reader = bufio.NewReaderSize(enc.NewDecoder().Reader(b), 64<<10)
	}
	u.Reader = &checkedText{in: in, r: u.Reader, begin: true, decoded: enc != nil}
	return u, nil
}

// checkedText passes on UTF-8 without a byte order mark.
type checkedText struct {
	in      *input
	r       io.Reader
	begin   bool
	decoded bool
	lines   int64  // line breaks so far
	cr      bool   // the last byte was a CR
	tail    []byte // the beginning of a character
	err     error
}

const byteOrderMark = "\ufeff"

func (t *checkedText) Read(p []byte) (int, error) {
	if t.err != nil && len(t.tail) == 0 {
		return 0, t.err
	}
	n := copy(p, t.tail)
	t.tail = t.tail[:0]
	for t.err == nil && n < max(utf8.UTFMax, 1) && n < len(p) {
		var m int
		m, t.err = t.r.Read(p[n:])
		n += m
	}
	if t.begin && n > 0 {
		t.begin = false
		if bytes.HasPrefix(p[:n], []byte(byteOrderMark)) {
			n = copy(p, p[len(byteOrderMark):n])
			if n == 0 && t.err == nil {
				return t.Read(p)
			}
		}
	}
	part := p[:n]
	if t.err == nil {
		part = t.whole(part)
	}
	if bad := t.bad(part); bad != nil {
		t.err, t.tail = bad, nil
		return 0, bad
	}
	t.count(part)
	if len(part) == 0 {
		return 0, t.err
	}
	return len(part), nil
}

// whole keeps back a character that is not complete.
func (t *checkedText) whole(part []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(part); i++ {
		tail := part[len(part)-i:]
		if utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				t.tail = append(t.tail, tail...)
				return part[:len(part)-i]
			}
			break
		}
	}
	return part
}

func (t *checkedText) bad(part []byte) error {
	at := bytes.IndexByte(part, 0)
	reason, try := "has a zero byte: it is not text, or it is UTF-16", saveAsUTF8
	if !utf8.Valid(part) {
		i := 0
		for i < len(part) {
			r, n := utf8.DecodeRune(part[i:])
			if r == utf8.RuneError && n <= 1 {
				break
			}
			i += n
		}
		if at < 0 || i < at {
			at, reason = i, "is not UTF-8"
		}
	}
	if i := bytes.Index(part, []byte("\ufffd")); t.decoded && i >= 0 && (at < 0 || i < at) {
		at, reason, try = i, "has bytes that are not "+t.in.opts.CSV.Encoding, "correct data.csv.encoding"
	}
	if at < 0 {
		return nil
	}
	t.count(part[:at])
	line := t.lines + 1
	return t.in.rejectLine(line, fmt.Sprintf("line %d %s", line, reason), try)
}

func (t *checkedText) count(part []byte) {
	if len(part) == 0 {
		return
	}
	t.lines += lineBreaks(part)
	if t.cr && part[0] == '\n' {
		t.lines--
	}
	t.cr = part[len(part)-1] == '\r'
}
