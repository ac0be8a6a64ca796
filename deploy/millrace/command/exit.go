package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
)

// Code is an exit code.
type Code int

// The exit codes.
const (
	Done Code = iota
	// Failed: something went wrong.
	Failed
	// Usage: the command was not written as it has to be.
	Usage
	// Rejected: the data broke its contract, or the model its gates.
	Rejected
	// TrainingFailed: the trainer failed.
	TrainingFailed
	// TimedOut: what was waited for had not ended in time; it goes on.
	TimedOut
	// Interrupted: ended by Ctrl-C, as shells number it.
	Interrupted Code = 130
)

// exit is an error with an exit code.
type exit struct {
	code Code
	text string
	hint string
	// told says that the person has read it already.
	told bool
}

func (e *exit) Error() string { return e.text }

func fail(code Code, format string, args ...any) *exit {
	return &exit{code: code, text: fmt.Sprintf(format, args...)}
}

func (e *exit) try(format string, args ...any) *exit {
	e.hint = fmt.Sprintf(format, args...)
	return e
}

func usage(c *cobra.Command, format string, args ...any) *exit {
	return fail(Usage, format, args...).try("%s --help", c.CommandPath())
}

// tell says on the screen what went wrong and what to do, and gives the code.
func tell(s *terminal.Screen, err error) Code {
	code, text, hint := Failed, err.Error(), ""
	var e *exit
	var answer *client.Error
	var problems config.Problems
	switch {
	case errors.As(err, &e):
		if e.told {
			return e.code
		}
		code, text, hint = e.code, e.text, e.hint
	case errors.As(err, &answer):
		text, hint = answer.Text, answer.Hint
	case errors.As(err, &problems):
		text = problems.Error()
	}
	for i, line := range terminal.Lines(text) {
		head := "error: "
		if i > 0 {
			head = "       "
		}
		s.Line(s.Styled(terminal.Bad, head), terminal.Clean(line))
	}
	for _, line := range terminal.Lines(strings.TrimSpace(hint)) {
		s.Line(s.Styled(terminal.Warn, "try:   "), terminal.Clean(line))
	}
	return code
}
