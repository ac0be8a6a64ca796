// Package command has the commands of `millrace` that talk to a running system.
//
// Results go to standard output, as a table or as JSON (-o json); progress and errors go to standard error. The exit codes
// are those of [Code].
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/servers"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/shared/version"
)

// DefaultServer is the address that `millrace up` listens on by default.
const DefaultServer = "http://127.0.0.1:8080"

// Options configure the command.
type Options struct {
	// Server and Token are the values of MILLRACE_SERVER and MILLRACE_TOKEN; flags override them.
	Server, Token string
	// Version describes the build.
	Version version.Info
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
}

// app holds what all commands share.
type app struct {
	Options
	output string
	out    *terminal.Screen
	err    *terminal.Screen
}

// formats lists the values of -o. A command may have more, separated by spaces in
// its annotation moreFormats.
var formats = []string{"table", "json"}

const moreFormats = "formats"

// New returns the root command with all its subcommands except `up` and `deploy`, which the caller adds.
func New(o Options) *cobra.Command {
	a := &app{Options: o, out: terminal.New(o.Out), err: terminal.New(o.Err)}
	if a.Server == "" {
		a.Server = DefaultServer
	}
	root := &cobra.Command{
		Use:   "millrace",
		Short: "Run the lifecycle of machine-learning models as a chain of events",
		Long: `Millrace runs the whole lifecycle of a machine-learning model as a chain of
events: data arrives and is checked; a model is trained, evaluated, rolled out,
served and monitored; and it is trained again when the data drifts.

Start a system with "millrace up"; most other commands are clients of a running system.`,
		Args:          unknownCommand,
		Run:           func(*cobra.Command, []string) { a.greet() },
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
		allowed := append(slices.Clone(formats), strings.Fields(c.Annotations[moreFormats])...)
		if !slices.Contains(allowed, a.output) {
			return usage(c, "-o %s is not an output format; allowed: %s", a.output, strings.Join(allowed, ", "))
		}
		return nil
	}
	root.AddGroup(
		&cobra.Group{ID: GroupRun, Title: "Run a system:"},
		&cobra.Group{ID: groupSee, Title: "Inspect a system:"},
		&cobra.Group{ID: groupDo, Title: "Change a system:"},
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
	add(GroupRun, false, a.newDemo())
	add(groupSee, true, a.newStatus(), a.newEvents(), a.newDatasets(), a.newProfile(), a.newRuns(), a.newLogs(), a.newModels(), a.newRoutes(), a.newSchedules(),
		a.newDrift(), a.newLabels(), a.newSetAside(), a.newWhy(), a.newDeadLetters(), a.newReplay(), a.newExport(), a.newDoctor())
	add(groupDo, true, a.newUpload(), a.newRemove(), a.newPredict(), a.newRetrain(), a.newReingest(), a.newRegister(), a.newEvaluate(), a.newPromote(), a.newRollback(), a.newImport())
	add(groupAlone, false, a.newInit(), a.newValidateConfig(), a.newCheck(), a.newToken(), a.newVersion())
	root.SetHelpCommandGroupID(groupAlone)
	return root
}

// greet says what to begin with.
func (a *app) greet() {
	a.out.Line("Millrace runs the whole lifecycle of a machine-learning model as a chain of events.")
	a.out.Line()
	for _, step := range [][2]string{
		{"millrace demo", "a year of New York flights through the whole chain"},
		{"millrace init churn customers.csv", "from a data file to a folder with a contract and a trainer"},
		{"millrace up --pipelines churn", "run it here; then millrace upload churn customers.csv --wait"},
	} {
		a.out.Line(fmt.Sprintf("  %-36s", step[0]), a.out.Styled(terminal.Faint, step[1]))
	}
	a.out.Line()
	a.out.Line("millrace --help lists every command.")
}

// GroupRun is the id of the help group for commands that run a system.
const GroupRun = "run"

// The other groups of the help.
const (
	groupSee   = "see"
	groupDo    = "do"
	groupAlone = "alone"
)

// remote adds the flags of commands that talk to a running system.
func (a *app) remote(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&a.Server, "server", a.Server, "address of the system (MILLRACE_SERVER)")
	token := a.Token
	f.StringVar(&a.Token, "token", "", "token of the system (MILLRACE_TOKEN); that of your own on this machine is found")
	a.Token = token // never shown as a default
}

// strict turns errors about a command's arguments into usage errors.
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
			if strings.Contains(err.Error(), "arg(s)") { // cobra's wording for a wrong number of arguments
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

// given states how many arguments were given.
func given(n int) string {
	switch n {
	case 0:
		return "an argument is missing"
	case 1:
		return "one argument is given"
	}
	return fmt.Sprintf("%d arguments are given", n)
}

// unknownCommand refuses a name that is not a command and suggests similar ones.
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

// client returns a client for the server and the token in the flags. The token
// of a system that this user has started on this machine is found without them.
func (a *app) client() (*client.Client, error) {
	server := a.Server
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	return client.New(server, cmp.Or(a.Token, servers.Token(server)))
}

func (a *app) json() bool { return a.output == "json" }

// me returns the user's name, which is recorded in the event log.
func me() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// Run runs the command with the arguments and returns the exit code. Errors are printed on standard error.
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
