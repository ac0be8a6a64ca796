package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// outputLog keeps a trainer's output within a limit: the beginning and the end.
// While the trainer runs, the end is in two files beside the log that are written
// in turn; Close joins everything in one file.
type outputLog struct {
	path          string
	head, turn    *os.File
	headLeft      int64 // what the beginning still takes
	perTurn, used int64
	dropped       int64
	recent        []byte // the end once more, for tail
	// show gets everything as well, if it is set; its errors are ignored.
	show io.Writer
	err  error
}

// maxRecent bounds what tail has to choose from.
const maxRecent = 64 << 10

// openLog opens the log at path for appending, or creates it.
func openLog(path string, limit int64) (*outputLog, error) {
	head, err := Folder(filepath.Dir(path)).Append(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	info, err := head.Stat()
	if err != nil {
		return nil, err
	}
	return &outputLog{path: path, head: head, headLeft: max(0, limit/2-info.Size()), perTurn: max(1, limit/4)}, nil
}

func (l *outputLog) newer() string  { return newerEnd(filepath.Base(l.path)) }
func (l *outputLog) older() string  { return olderEnd(filepath.Base(l.path)) }
func (l *outputLog) folder() Folder { return Folder(filepath.Dir(l.path)) }

func newerEnd(log string) string { return log + ".end" }
func olderEnd(log string) string { return log + ".end.older" }

// Write never fails: a trainer must not stop because the disk of its log is
// full. Close returns the first error.
func (l *outputLog) Write(p []byte) (int, error) {
	n := len(p)
	if l.show != nil {
		_, _ = l.show.Write(p)
	}
	l.recent = append(l.recent, p[max(0, n-maxRecent):]...)
	if len(l.recent) > 2*maxRecent {
		l.recent = append(l.recent[:0], l.recent[len(l.recent)-maxRecent:]...)
	}
	if l.headLeft > 0 {
		m := min(l.headLeft, int64(len(p)))
		l.put(l.head, p[:m])
		l.headLeft -= m
		p = p[m:]
	}
	for len(p) > 0 {
		if l.turn == nil || l.used == l.perTurn {
			l.nextTurn()
			if l.turn == nil {
				return n, nil
			}
		}
		m := min(l.perTurn-l.used, int64(len(p)))
		l.put(l.turn, p[:m])
		l.used += m
		p = p[m:]
	}
	return n, nil
}

func (l *outputLog) put(f *os.File, p []byte) {
	if _, err := f.Write(p); err != nil && l.err == nil {
		l.err = err
	}
}

func (l *outputLog) nextTurn() {
	if l.turn != nil {
		l.turn.Close()
	}
	if info, err := os.Lstat(olderEnd(l.path)); err == nil && info.Mode().IsRegular() {
		l.dropped += info.Size()
	}
	if err := l.folder().rename(l.newer(), l.older()); err != nil && !os.IsNotExist(err) && l.err == nil {
		l.err = err
	}
	l.used = 0
	var err error
	if l.turn, err = l.folder().make(l.newer()); err != nil {
		l.turn, l.err = nil, err
	}
}

// note writes a line of the runner's own.
func (l *outputLog) note(format string, args ...any) {
	fmt.Fprintf(l, "--- "+format+" ---\n", args...)
}

// begin resets tail, so that it covers one attempt only.
func (l *outputLog) begin() { l.recent = l.recent[:0] }

// Close joins everything in one file.
func (l *outputLog) Close() error {
	if l.turn != nil {
		l.turn.Close()
	}
	if l.dropped > 0 {
		_, err := fmt.Fprintf(l.head, "\n--- %d bytes are left out here ---\n", l.dropped)
		l.keep(err)
	}
	for _, name := range []string{l.older(), l.newer()} {
		f, err := l.folder().Open(name)
		if s, ok := errors.AsType[*SpoiledError](err); ok {
			_, err = fmt.Fprintf(l.head, "\n--- %v ---\n", s)
			l.keep(err)
			continue
		}
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			l.keep(err)
			continue
		}
		_, err = io.Copy(l.head, f)
		l.keep(err)
		f.Close()
		os.Remove(filepath.Join(string(l.folder()), name))
	}
	l.keep(l.head.Close())
	return l.err
}

func (l *outputLog) keep(err error) {
	if l.err == nil {
		l.err = err
	}
}

// How much of a log goes into a result.
const (
	tailLines = 40
	tailBytes = 8 << 10
)

// tail returns the end of the output as printable UTF-8: at most tailLines lines
// and tailBytes bytes.
func (l *outputLog) tail() string { return tail(l.recent) }

// Tail returns the end of what a run has printed so far, in the form of tail. The
// runner may be writing meanwhile: a line may be missing when it changes files.
func (f Folder) Tail() string {
	var end []byte
	log := filepath.Base(f.Log())
	for _, name := range []string{newerEnd(log), olderEnd(log), log} {
		if len(end) < maxRecent {
			end = append(f.lastOf(name), end...)
		}
	}
	return tail(end)
}

// lastOf returns the end of a file, nil if it cannot be read.
func (f Folder) lastOf(name string) []byte {
	file, err := f.Open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	from := max(0, info.Size()-maxRecent)
	b, err := io.ReadAll(io.NewSectionReader(file, from, maxRecent))
	if err != nil {
		return nil
	}
	return b
}

func tail(recent []byte) string {
	lines := strings.Split(strings.TrimRight(clean(recent), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	text := strings.Join(lines, "\n")
	if cut := len(text) - tailBytes; cut > 0 {
		for cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut++
		}
		text = text[cut:]
	}
	return text
}

// clean returns output as plain, valid UTF-8 text: without terminal sequences,
// control characters, and what a progress bar has overwritten.
func clean(b []byte) string {
	var out strings.Builder
	for line := range strings.Lines(strings.ToValidUTF8(string(b), "\uFFFD")) {
		text, end := strings.CutSuffix(line, "\n")
		text = strings.TrimRight(text, "\r")
		text = text[strings.LastIndexByte(text, '\r')+1:]
		out.WriteString(strings.Map(func(r rune) rune {
			if r == '\t' || !unicode.IsControl(r) {
				return r
			}
			return -1
		}, withoutSequences(text)))
		if end {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// withoutSequences drops the escape sequences ESC [ ... letter, which set
// colours and move the cursor.
func withoutSequences(s string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		s = strings.TrimLeft(after, "0123456789;?")
		if s != "" {
			_, size := utf8.DecodeRuneInString(s)
			s = s[size:]
		}
	}
}
