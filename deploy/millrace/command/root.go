// Package command is the client half of the `millrace` command: what a person
// asks of a running system.
//
// Results go to standard output, as a table or as JSON (-o json); progress and
// mistakes go to standard error. The exit codes are those of Code.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
)

// DefaultServer is the address that `millrace up` listens on by default.
const DefaultServer = "http://127.0.0.1:8080"

// Options of the command.
type Options struct {
	// Server and Token are what MILLRACE_SERVER and MILLRACE_TOKEN say; flags win.
	Server, Token string
	// Version is the build's.
	Version string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
}

// app is what the commands share.
type app struct {
	Options
	output string
	out    *terminal.Screen
	err    *terminal.Screen
}

// formats are the values of -o.
var formats = []string{"table", "json"}

// New makes the command with everything that talks to a running system. The
// caller may add commands of its own.
func New(o Options) *cobra.Command {
	a := &app{Options: o, out: terminal.New(o.Out), err: terminal.New(o.Err)}
	if a.Server == "" {
		a.Server = DefaultServer
	}
	root := &cobra.Command{
		Use:   "millrace",
		Short: "Run the life of machine-learning models as a chain of events",
		Long: `Millrace runs the whole life of a machine-learning model as a chain of events:
data arrives, is checked, a model is trained, judged, rolled out, served,
watched, and trained again when the world has moved.

Start a system with "millrace up"; the other commands ask a running one.`,
		Args:          unknownCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%v", err) })
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "table", "what to print: table or json")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains(formats, a.output) {
			return usage(c, "-o %s is not an output; allowed: %s", a.output, strings.Join(formats, ", "))
		}
		return nil
	}
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run a system:"},
		&cobra.Group{ID: groupSee, Title: "See what is there and why:"},
		&cobra.Group{ID: groupDo, Title: "Give it something to do:"},
		&cobra.Group{ID: groupAlone, Title: "Without a system:"},
	)
	add := func(group string, remote bool, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			if remote {
				a.remote(c)
			}
			strict(c)
			root.AddCommand(c)
		}
	}
	add(groupRun, false, a.newDemo())
	add(groupSee, true, a.newStatus(), a.newEvents(), a.newDatasets(), a.newRuns(), a.newLogs(), a.newModels(), a.newRoutes(),
		a.newDrift(), a.newLabels(), a.newWhy(), a.newDeadLetters(), a.newReplay(), a.newExport())
	add(groupDo, true, a.newUpload(), a.newRemove(), a.newPredict(), a.newRetrain(), a.newRegister(), a.newEvaluate(), a.newPromote(), a.newRollback(), a.newImport())
	add(groupAlone, false, a.newValidateConfig(), a.newVersion())
	root.SetHelpCommandGroupID(groupAlone)
	return root
}

// GroupRun is the group of commands that run a system.
const (
	groupRun   = "run"
	groupSee   = "see"
	groupDo    = "do"
	groupAlone = "alone"
)

// GroupRun is the group of help that commands which run a system belong to.
const GroupRun = groupRun

// remote adds the flags of commands that ask a running system.
func (a *app) remote(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&a.Server, "server", a.Server, "the system to ask (MILLRACE_SERVER)")
	token := a.Token
	f.StringVar(&a.Token, "token", "", "its token (MILLRACE_TOKEN)")
	a.Token = token // never shown as a default
}

// strict makes what is wrong with a command's arguments a mistake of usage.
func strict(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			if _, ok := errors.AsType[*exit](err); ok {
				return err
			}
			if strings.Contains(err.Error(), "arg(s)") { // cobra's way to say how many
				return usage(c, "%s; write: %s", given(len(args)), c.UseLine())
			}
			return usage(c, "%v", err)
		}
		return nil
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// given says how many arguments there are.
func given(n int) string {
	switch n {
	case 0:
		return "something is missing"
	case 1:
		return "one argument is given"
	}
	return fmt.Sprintf("%d arguments are given", n)
}

// unknownCommand refuses a word that is no command, with those that are near.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := usage(c, "there is no command %q", args[0])
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		e.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return e
}

// client makes the client that the flags ask for.
func (a *app) client() (*client.Client, error) { return client.New(a.Server, a.Token) }

func (a *app) json() bool { return a.output == "json" }

// me is who asks, for the log.
func me() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// Run runs the command with the arguments and gives the exit code. What went
// wrong is told on the standard error.
func Run(ctx context.Context, root *cobra.Command, args []string) Code {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return Done
	}
	screen := terminal.New(root.ErrOrStderr())
	if _, ours := errors.AsType[*exit](err); ctx.Err() != nil && !ours {
		screen.Line(screen.Styled(terminal.Warn, "interrupted"))
		return Interrupted
	}
	return tell(screen, err)
}

// plural is a noun for n of it.
func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return fmt.Sprintf("%ss", noun)
}
