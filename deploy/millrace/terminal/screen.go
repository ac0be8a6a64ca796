// Package terminal prints lines, tables and trees, coloured on terminals that
// support it and plain elsewhere.
//
// Control characters are removed from text that came from outside (keys,
// reasons, logs), so that an upload cannot send commands to a terminal.
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

// Tone is the meaning of a text, which decides its colour.
type Tone int

// The tones.
const (
	Plain  Tone = iota
	Good        // passed, approved, champion
	Bad         // failed, rejected
	Warn        // drift, waiting
	Faint       // details
	Strong      // headings and answers
)

// Screen is an output stream for people. It is not safe for concurrent use.
type Screen struct {
	w      io.Writer
	styles [Strong + 1]lipgloss.Style
	// width of the terminal; 0 without one, and lines are not cut.
	width int
	now   func() time.Time
	// transient is whether the current line will be overwritten.
	transient bool
}

// New returns a screen on w. A terminal has a width, and colours unless NO_COLOR
// is set; other streams have neither.
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

// At makes the screen print times relative to now, for tests.
func (s *Screen) At(now time.Time) *Screen {
	s.now = func() time.Time { return now }
	return s
}

// IsTerminal reports whether the stream is a terminal.
func (s *Screen) IsTerminal() bool { return s.width > 0 }

// Styled returns the cleaned text in a tone.
func (s *Screen) Styled(t Tone, text string) string {
	if t == Plain || text == "" {
		return Clean(text)
	}
	return s.styles[t].Render(Clean(text))
}

// Line writes one line from results of Styled or Clean.
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

// clear erases a line of progress.
func (s *Screen) clear() {
	if s.transient {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.transient = false
	}
}

// Done erases a line of progress that has not been overwritten.
func (s *Screen) Done() { s.clear() }

// Clean returns the text on one line, without control characters and terminal
// escape sequences.
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

// Lines splits a text into lines and cleans each.
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
