package command

import (
	"strconv"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newDoctor() *cobra.Command {
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "Diagnose a system",
		Example: "  millrace doctor log",
		Args:    unknownCommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.newDoctorLog())
	return c
}

func (a *app) newDoctorLog() *cobra.Command {
	return &cobra.Command{
		Use:   "log",
		Short: "Check every record of the event log",
		Long: `Check every record of the event log, and list those that are not events.

Such a record was published without the gateway, for example with "nats pub".
Readers of the log skip it, and it changes nothing. It cannot be deleted, since
the log is append-only. Its subject and time help to find the publisher, which
should not have the right to write to the log.`,
		Example: "  millrace doctor log\n  millrace doctor log -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			return show(c.Context(), a, nil, "api/log/unreadable", a.showUnreadable)
		},
	}
}

func (a *app) showUnreadable(r api.Unreadable) {
	checked := humanize.Count(r.Checked, "record") + " checked"
	if r.Count == 0 {
		a.out.Line(a.out.Styled(terminal.Good, "the log is readable"), a.out.Styled(terminal.Faint, ", "+checked))
		return
	}
	t := [][]terminal.Cell{}
	for _, u := range r.Records {
		t = append(t, []terminal.Cell{
			terminal.Text(strconv.FormatUint(u.Sequence, 10)), terminal.Text(a.out.Clock(u.Time)), terminal.Text(u.Subject), terminal.Text(u.Reason),
		})
	}
	a.out.Table([]terminal.Column{terminal.Right("SEQUENCE"), terminal.Left("TIME"), terminal.Left("SUBJECT"), terminal.Rest("REASON")}, t)
	a.out.Line()
	a.out.Line(a.out.Styled(terminal.Bad, humanize.Count(r.Count, "unreadable record")), a.out.Styled(terminal.Faint, ", "+checked))
	if more := r.Count - uint64(len(r.Records)); more > 0 {
		a.out.Line(humanize.Int(more), " more are not listed")
	}
	a.out.Line("They are skipped and change nothing. Find out what published them, and revoke its right to write to the log.")
}
