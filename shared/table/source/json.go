package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"millrace.dev/shared/table"
)

// jsonReader reads JSON objects: one a line, or those of an array.
type jsonReader struct {
	in    *input
	u     *unpacked
	dec   *jsontext.Decoder
	lines *bufio.Reader // of JSON lines
	line  int64
	buf   bytes.Buffer
	names map[string]int // by the name as it is written, with its quotes
	keys  []string       // in the order they appear
	text  []byte
	raw   []byte // the line as it is written, until the next; of JSON lines
}

// badLine says what is wrong with one line of JSON lines. The next can be read.
type badLine struct {
	error
	reason, try string
}

func (in *input) openJSON(ctx context.Context) (*jsonReader, error) {
	u, err := in.text(ctx)
	if err != nil {
		return nil, err
	}
	r := &jsonReader{in: in, u: u, names: map[string]int{}}
	if in.format == Lines {
		r.lines = bufio.NewReaderSize(u, 64<<10)
		r.dec = jsontext.NewDecoder(&r.buf)
		return r, nil
	}
	b := bufio.NewReaderSize(u, 64<<10)
	r.dec = jsontext.NewDecoder(b)
	if kind := r.dec.PeekKind(); kind == '[' {
		if _, err := r.dec.ReadToken(); err != nil {
			return nil, errors.Join(r.explain(err), u.Close())
		}
	}
	return r, nil
}

// value is one member of an object: the index of its key, and how it is written.
type value func(key int, kind jsontext.Kind, raw jsontext.Value)

// next calls each for the members of the next object, and returns its line; of
// an array it is the number of the object. It returns io.EOF after the last.
func (r *jsonReader) next(each value) (int64, error) {
	if r.lines != nil {
		return r.nextLine(each)
	}
	switch kind := r.dec.PeekKind(); {
	case kind == ']':
		if _, err := r.dec.ReadToken(); err != nil {
			return 0, r.explain(err)
		}
		if r.dec.PeekKind() != 0 {
			return 0, r.in.reject("something follows the array of objects", "write one array, or one object a line")
		}
		if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
			return 0, r.explain(err)
		}
		return 0, io.EOF
	case kind == 0 && r.dec.StackDepth() == 0:
		if _, err := r.dec.ReadToken(); errors.Is(err, io.EOF) {
			return 0, io.EOF
		} else if err != nil {
			r.line++
			return 0, r.explain(err)
		}
	}
	r.line++
	return r.line, r.object(each)
}

func (r *jsonReader) nextLine(each value) (int64, error) {
	for {
		line, err := r.readLine()
		if err != nil {
			return 0, err
		}
		r.raw = bytes.TrimSpace(line)
		line = withoutNaN(r.raw)
		if len(line) == 0 {
			continue
		}
		known := len(r.keys)
		r.buf.Reset()
		r.buf.Write(line)
		r.dec.Reset(&r.buf)
		err = r.object(each)
		if err == nil && r.dec.PeekKind() != 0 {
			err = r.in.rejectLine(r.line, fmt.Sprintf("line %d has something after its object", r.line), "write one JSON object a line")
		}
		if u, ok := errors.AsType[*table.Unreadable](err); ok {
			r.forget(known)
			return r.line, &badLine{err, strings.TrimPrefix(u.Reason, r.place()+" "), u.Try}
		}
		return r.line, err
	}
}

// forget takes back the keys after the first so many.
func (r *jsonReader) forget(known int) {
	r.keys = r.keys[:known]
	maps.DeleteFunc(r.names, func(_ string, key int) bool { return key >= known })
}

func (e *badLine) Unwrap() error { return e.error }

// withoutNaN writes the words NaN and Infinity, which are not JSON but which
// Python writes, as null and "Infinity".
func withoutNaN(line []byte) []byte {
	if !bytes.Contains(line, []byte("NaN")) && !bytes.Contains(line, []byte("Infinity")) {
		return line
	}
	var out []byte
	quoted := false
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case quoted && line[i] == '\\' && len(rest) > 1:
			out = append(out, rest[:2]...)
			i++
			continue
		case line[i] == '"':
			quoted = !quoted
		case quoted:
		case bytes.HasPrefix(rest, []byte("NaN")):
			out = append(out, "null"...)
			i += len("NaN") - 1
			continue
		case bytes.HasPrefix(rest, []byte("-Infinity")):
			out = append(out, `"-Infinity"`...)
			i += len("-Infinity") - 1
			continue
		case bytes.HasPrefix(rest, []byte("Infinity")):
			out = append(out, `"Infinity"`...)
			i += len("Infinity") - 1
			continue
		}
		out = append(out, line[i])
	}
	return out
}

// readLine returns the next line, up to the limit.
func (r *jsonReader) readLine() ([]byte, error) {
	r.line++
	r.text = r.text[:0]
	for {
		part, err := r.lines.ReadSlice('\n')
		if int64(len(r.text)+len(part)) > r.in.lim.LineBytes {
			return nil, r.in.rejectLine(r.line, fmt.Sprintf("line %d is longer than the %s that are allowed", r.line, size(r.in.lim.LineBytes)), "check that lines end as they should")
		}
		switch {
		case err == nil && len(r.text) == 0:
			return part, nil
		case err == nil || err == io.EOF && len(r.text)+len(part) > 0:
			r.text = append(r.text, part...)
			return r.text, nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.text = append(r.text, part...)
			continue
		}
		return nil, err
	}
}

// object reads one object.
func (r *jsonReader) object(each value) error {
	if kind := r.dec.PeekKind(); kind != '{' && kind != 0 {
		return r.notObject(kind)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return r.explain(err)
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadValue()
		if err != nil {
			return r.explain(err)
		}
		key, ok := r.names[string(name)]
		if !ok {
			if key, err = r.newKey(name); err != nil {
				return err
			}
		}
		kind := r.dec.PeekKind()
		raw, err := r.dec.ReadValue()
		if err != nil {
			return r.explain(err)
		}
		each(key, kind, raw)
	}
	_, err := r.dec.ReadToken()
	if err != nil {
		return r.explain(err)
	}
	return nil
}

// newKey notes a key. The same key may be written in several ways, with escapes.
func (r *jsonReader) newKey(name jsontext.Value) (int, error) {
	text, err := jsontext.AppendUnquote(nil, name)
	if err != nil {
		return 0, r.explain(err)
	}
	if len(text) == 0 {
		return 0, r.in.rejectLine(r.line, fmt.Sprintf("%s has an empty key", r.place()), "name every column")
	}
	for i, k := range r.keys {
		if k == string(text) {
			r.names[string(name)] = i
			return i, nil
		}
	}
	if len(r.keys) >= r.in.lim.Columns {
		return 0, r.in.rejectLine(r.line, fmt.Sprintf("it has more than the %d keys that are allowed", r.in.lim.Columns), "leave out columns")
	}
	r.keys = append(r.keys, string(text))
	r.names[string(name)] = len(r.keys) - 1
	return len(r.keys) - 1, nil
}

// place names the object that is being read.
func (r *jsonReader) place() string {
	if r.lines != nil {
		return fmt.Sprintf("line %d", r.line)
	}
	return fmt.Sprintf("object %d", r.line)
}

var kindNames = map[jsontext.Kind]string{'[': "an array", '"': "a string", '0': "a number", 'n': "null", 't': "true", 'f': "false", ']': "the end of an array", '}': "the end of an object"}

func (r *jsonReader) notObject(kind jsontext.Kind) error {
	try := "write one JSON object a line"
	if kind == '[' && r.lines != nil {
		try += ", or name a file that is one array .json"
	}
	return r.in.rejectLine(r.line, fmt.Sprintf("%s is not a JSON object but %s", r.place(), kindNames[kind]), try)
}

// explain says what is wrong with the JSON.
func (r *jsonReader) explain(err error) error {
	var u *table.Unreadable
	if errors.As(err, &u) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var s *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		errors.As(err, &s)
		key := s.JSONPointer.LastToken()
		u := r.in.rejectLine(r.line, fmt.Sprintf("%s has the key %q twice", r.place(), key), "give every value a key of its own")
		u.Column = key
		return u
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return r.in.rejectLine(r.line, fmt.Sprintf("%s is not a JSON object: it ends too early", r.place()), "write one JSON object a line")
	case errors.As(err, &s):
		why := s.Err.Error()
		if strings.Contains(why, "surrogate") {
			why = "a surrogate (\\ud800 to \\udfff) stands alone, which is not a character"
		}
		return r.in.rejectLine(r.line, fmt.Sprintf("%s is not a JSON object: %s", r.place(), why), "write one JSON object a line")
	}
	return err
}

// errNewKey stops a pass at a key that the columns were not planned with.
var errNewKey = errors.New("a new key")
