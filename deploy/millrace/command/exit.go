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

// Code is the exit code of the command.
type Code int

// The exit codes.
const (
	Done Code = iota
	// Failed means that an error occurred.
	Failed
	// Usage means that the arguments or flags are invalid.
	Usage
	// Rejected means that the data broke its contract, or that the model failed a gate or a guardrail.
	Rejected
	// TrainingFailed means that the trainer failed.
	TrainingFailed
	// TimedOut means that --timeout passed first; the system continues.
	TimedOut
	// Interrupted means that Ctrl-C ended the command; 128 + SIGINT, as in shells.
	Interrupted Code = 130
)

// exit is an error with an exit code.
type exit struct {
	code Code
	text string
	hint string
	// told means that the error has been printed already.
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

// tell prints the error and its hint, and returns the exit code.
func tell(s *terminal.Screen, err error) Code {
	code, text, hint := Failed, err.Error(), ""
	if e, ok := errors.AsType[*exit](err); ok {
		if e.told {
			return e.code
		}
		code, text, hint = e.code, e.text, e.hint
	} else if answer, ok := errors.AsType[*client.Error](err); ok {
		text, hint = answer.Text, answer.Hint
	} else if problems, ok := errors.AsType[config.Problems](err); ok {
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
