// Package terminal shows things to people: lines, tables and trees, in colour
// where there is a terminal that wants it, and plain where there is none.
//
// Text that came from outside (keys, reasons, logs) is cleaned of control
// characters before it is shown, so that no upload can write to a terminal.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// Tone says what a text means, so that it may be coloured.
type Tone int

// The tones of text.
const (
	Plain  Tone = iota
	Good        // passed, approved, champion
	Bad         // failed, rejected
	Warn        // drift, waiting
	Faint       // what can be skipped
	Strong      // what was asked for
)

// Screen is a stream that a person may read. It is not safe for concurrent use.
type Screen struct {
	w      io.Writer
	styles [Strong + 1]lipgloss.Style
	// width of the terminal, 0 where there is none and lines may be long.
	width int
	now   func() time.Time
	// transient is whether the line that the cursor is in will be overwritten.
	transient bool
}

// New is a screen on w. A file that is a terminal has a width, and colours
// unless NO_COLOR is set; everything else has neither.
func New(w io.Writer) *Screen {
	r := lipgloss.NewRenderer(w)
	s := &Screen{w: w, now: time.Now}
	style := r.NewStyle
	s.styles = [...]lipgloss.Style{
		Plain: style(), Good: style().Foreground(lipgloss.Color("2")), Bad: style().Foreground(lipgloss.Color("1")),
		Warn: style().Foreground(lipgloss.Color("3")), Faint: style().Faint(true), Strong: style().Bold(true),
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(f.Fd()) {
		if width, _, err := term.GetSize(f.Fd()); err == nil {
			s.width = width
		}
	}
	return s
}

// At makes the screen tell times relative to now, for tests.
func (s *Screen) At(now time.Time) *Screen {
	s.now = func() time.Time { return now }
	return s
}

// IsTerminal tells whether a person is likely to watch.
func (s *Screen) IsTerminal() bool { return s.width > 0 }

// Styled is the text, cleaned, in its tone.
func (s *Screen) Styled(t Tone, text string) string {
	if t == Plain || text == "" {
		return Clean(text)
	}
	return s.styles[t].Render(Clean(text))
}

// Line writes one line of what Styled made, or of plain text.
func (s *Screen) Line(parts ...string) {
	s.clear()
	fmt.Fprintln(s.w, strings.TrimRight(strings.Join(parts, ""), " "))
}

// Printf writes a line of plain text.
func (s *Screen) Printf(format string, args ...any) { s.Line(Clean(fmt.Sprintf(format, args...))) }

// Progress shows a line that the next one overwrites. Without a terminal it
// shows nothing.
func (s *Screen) Progress(text string) {
	if s.width == 0 {
		return
	}
	fmt.Fprint(s.w, "\r\x1b[K"+cut(s.Styled(Faint, text), s.width-1))
	s.transient = true
}

// clear takes a line of progress away.
func (s *Screen) clear() {
	if s.transient {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.transient = false
	}
}

// Done takes a line of progress away that nothing has overwritten.
func (s *Screen) Done() { s.clear() }

// Clean is the text without control characters and what terminals take for
// commands, on one line.
func Clean(text string) string {
	if strings.ContainsRune(text, '\x1b') {
		text = ansi.Strip(text)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
}

// Lines are the lines of a text of several, cleaned one by one.
func Lines(text string) []string {
	text = strings.Trim(text, "\r\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Clean(strings.TrimRight(lines[i], "\r"))
	}
	return lines
}
