package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"millrace.dev/shared/table"
)

// csvFile is a CSV file that is being read: its records, and who counts them.
type csvFile struct {
	*csvReader
	u       *unpacked
	names   []string
	counter *counter
	skipped int64 // records that are not rows: of the header
	broken  bool  // lines were left out that are no records
}

// openCSV opens the file and reads its header.
func (in *input) openCSV(ctx context.Context) (*csvFile, error) {
	u, err := in.text(ctx)
	if err != nil {
		return nil, err
	}
	f, err := in.csvFile(ctx, u)
	if err != nil {
		return nil, errors.Join(in.csvFault(err), u.Close())
	}
	return f, nil
}

// csvFault makes what is wrong with a record an answer about the file.
func (in *input) csvFault(err error) error {
	if e, ok := err.(*csvError); ok { //nolint:errorlint // it is never wrapped
		return in.rejectLine(e.line, e.reason, e.try)
	}
	return err
}

func (in *input) csvFile(ctx context.Context, u *unpacked) (*csvFile, error) {
	d := in.opts.CSV
	text := io.Reader(u)
	if d.Footer > 0 {
		lines, err := in.countLines(ctx)
		if err != nil {
			return nil, err
		}
		text = &firstLines{r: text, left: lines.last - int64(d.Footer)}
	}
	skip := &skipLines{r: text, left: d.Skip}
	head, err := skip.peek(int(in.lim.LineBytes))
	if err != nil {
		return nil, err
	}
	if d.Delimiter == 0 {
		d.Delimiter = in.delimiter(head)
	}
	f := &csvFile{u: u, counter: &counter{comma: d.Delimiter, quote: '"', comment: d.Comment}}
	if d.Quote != nil {
		f.counter.quote = *d.Quote
	}
	f.csvReader = newCSVReader(io.TeeReader(skip, f.counter), d, in.lim.LineBytes)
	f.line += int64(d.Skip)
	f.columns = in.lim.Columns
	return f, in.readHeader(f, head)
}

// delimiter returns the separator by which the header has most names of the
// contract; where that says nothing, the one by which it has most names.
func (in *input) delimiter(head []byte) byte {
	if in.format == TSV {
		return '\t'
	}
	best, bestKnown, most := byte(','), -1, 0
	for _, comma := range []byte(",;\t|") {
		d := in.opts.CSV
		d.Delimiter = comma
		r := newCSVReader(bytes.NewReader(head), d, int64(len(head)))
		fields, _, err := r.next()
		if err != nil && len(fields) == 0 {
			fields = r.fields // of a line that is not closed yet
		}
		known := 0
		for _, c := range in.opts.Columns {
			for _, name := range append([]string{c.Name}, c.From...) {
				if slices.ContainsFunc(fields, func(f field) bool { return string(f.text) == name }) {
					known++
					break
				}
			}
		}
		if known > bestKnown || known == bestKnown && len(fields) > most {
			best, bestKnown, most = comma, known, len(fields)
		}
	}
	return best
}

// readHeader reads the rows of the header. Names are as they are written; a
// name that is empty or stands there twice is refused.
func (in *input) readHeader(f *csvFile, head []byte) error {
	rows := 1
	if in.opts.CSV.Header != nil {
		rows = *in.opts.CSV.Header
	}
	if rows == 0 {
		f.names = in.opts.CSV.Names
		f.single, f.columns = len(f.names) == 1, 0
		return nil
	}
	if t := bytes.TrimLeft(head, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[' && bytes.Contains(t, []byte(`{"`))) {
		return in.rejectLine(1, "line 1 is JSON, and the name says "+string(in.format), "name it .jsonl, or .json")
	}
	for i := range rows {
		fields, line, err := f.next()
		if errors.Is(err, io.EOF) {
			if i == 0 {
				return in.reject("it has no header", "write the names of the columns into the first line")
			}
			return in.reject("it has no rows", "add at least one row")
		}
		if err != nil {
			return err
		}
		f.skipped++
		if i > 0 {
			continue
		}
		if len(fields) > f.columns {
			f.line = line
			return f.manyColumns()
		}
		for _, v := range fields {
			f.names = append(f.names, string(v.text))
		}
		if err := in.checkNames(f.names, line); err != nil {
			return err
		}
	}
	f.single, f.columns = len(f.names) == 1, 0
	return nil
}

// checkNames refuses names that are empty or the same.
func (in *input) checkNames(names []string, line int64) error {
	seen := make(map[string]int, len(names))
	for i, name := range names {
		if name == "" {
			return in.rejectLine(line, fmt.Sprintf("%s %d: column %d of the header has no name", in.place(), line, i+1), "name every column")
		}
		if first, ok := seen[name]; ok {
			u := in.rejectLine(line, fmt.Sprintf("%s %d: the header has %q twice, as column %d and %d", in.place(), line, name, first+1, i+1), "give every column a name of its own")
			u.Column = name
			return u
		}
		seen[name] = i
	}
	return nil
}

// countLines counts the lines of the file.
func (in *input) countLines(ctx context.Context) (*lineCounter, error) {
	u, err := in.text(ctx)
	if err != nil {
		return nil, err
	}
	defer u.Close()
	c := &lineCounter{}
	_, err = io.Copy(c, u)
	return c, err
}

// lineCounter counts lines by LF, CRLF and CR.
type lineCounter struct {
	line, last int64 // breaks so far; the number of the last line with something
	cr         bool
}

func (c *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n' && c.cr:
		case b == '\n' || b == '\r':
			c.line++
		default:
			c.last = c.line + 1
		}
		c.cr = b == '\r'
	}
	return len(p), nil
}

// firstLines reads the first so many lines.
type firstLines struct {
	r    io.Reader
	left int64
	cr   bool
}

func (f *firstLines) Read(p []byte) (int, error) {
	if f.left <= 0 && !f.cr {
		return 0, io.EOF
	}
	n, err := f.r.Read(p)
	for i, b := range p[:n] {
		lf := b == '\n' && f.cr
		if f.left <= 0 && !lf {
			f.cr = false
			return i, io.EOF
		}
		if f.cr = b == '\r'; !lf && (b == '\n' || b == '\r') {
			f.left--
		}
	}
	return n, err
}

// skipLines leaves out the first so many lines.
type skipLines struct {
	r    io.Reader
	left int
	cr   bool
	head []byte
}

func (s *skipLines) Read(p []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	n, err := s.r.Read(p)
	i := 0
	for ; i < n && (s.left > 0 || s.cr && p[i] == '\n'); i++ {
		lf := p[i] == '\n' && s.cr
		if s.cr = p[i] == '\r'; !lf && (p[i] == '\n' || p[i] == '\r') {
			s.left--
		}
	}
	if i < n {
		s.cr = false
	}
	return copy(p, p[i:n]), err
}

// peek returns up to n bytes that Read will return: as many as have the first
// line.
func (s *skipLines) peek(n int) ([]byte, error) {
	var head []byte
	buf := make([]byte, 64<<10)
	for len(head) < n {
		m, err := s.Read(buf)
		head = append(head, buf[:m]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if i := bytes.IndexAny(bytes.TrimLeft(head, "\r\n"), "\r\n"); i >= 0 {
			break
		}
	}
	s.head = head
	return head, nil
}

// readCSV reads a CSV file into b.
func (in *input) readCSV(ctx context.Context, b *builder) error {
	types, err := in.inferCSV(ctx)
	if err != nil {
		return err
	}
	f, err := in.openCSV(ctx)
	if err != nil {
		return err
	}
	defer f.u.Close()
	f.keeps = in.opts.SetAside != nil
	b.raw = func(int) string { return string(bytes.TrimRight(f.raw, "\r\n")) }
	slots, err := b.plan(f.names, types)
	if err != nil {
		return err
	}
	for {
		fields, line, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err := in.setAsideRecord(b, f, err); err != nil {
				return in.csvFault(err)
			}
			continue
		}
		if len(fields) != len(slots) {
			reason := b.faults.addRagged(line, len(fields), len(slots))
			if err := b.wholeRow(line, reason); err != nil {
				return err
			}
			continue
		}
		for i, slot := range slots {
			if slot < 0 {
				continue
			}
			if r := b.columns[slot].cell.AddText(fields[i].text, fields[i].quoted); r != nil {
				b.fault(slot, b.rows, line, fields[i].text, r)
			}
		}
		if err := b.endRow(line); err != nil {
			return err
		}
	}
	return in.countAgain(ctx, b, f)
}

// inferCSV finds the types of columns that the contract does not list, where
// they are wanted.
func (in *input) inferCSV(ctx context.Context) (func(int) table.Type, error) {
	if in.opts.Extra != Infer {
		return nil, nil
	}
	f, err := in.openCSV(ctx)
	if err != nil {
		return nil, err
	}
	defer f.u.Close()
	in2 := newInferences(len(f.names), in.opts.Nulls)
	for {
		fields, _, err := f.next()
		if errors.Is(err, io.EOF) {
			return in2.typeOf, nil
		}
		if err != nil && in.opts.SetAside != nil {
			err = f.leaveOutRecord(err, func(brokenLine) error { return nil })
			fields = nil
		}
		if err != nil {
			return nil, in.csvFault(err)
		}
		if len(fields) != len(f.names) {
			continue // readCSV will say so
		}
		for i, v := range fields {
			in2[i].See(v.text, false)
		}
	}
}
