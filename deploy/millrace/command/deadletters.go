package command

import (
	"bytes"
	"encoding/json"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newDeadLetters() *cobra.Command {
	c := newList(a, "deadletters", "List events that functions gave up; show, retry or drop them", "api/deadletters", a.showDeadLetters)
	c.Long = `List events that a function gave up, each with its reason. No event is lost: once
the cause is fixed, send the event again with retry, or drop it.`
	c.Example = "  millrace deadletters\n  millrace deadletters show 3f9c0a1b\n  millrace deadletters retry 3f9c0a1b\n  millrace deadletters retry --function ingest --since 2h"
	list := newList(a, "list", "Same as deadletters without a subcommand", "api/deadletters", a.showDeadLetters)
	c.AddCommand(list, a.newDeadLetterShow(), a.newDeadLetterRetry(), a.newDeadLetterDrop())
	return c
}

func (a *app) showDeadLetters(rows []api.DeadLetterRow) {
	if len(rows) == 0 {
		a.err.Line("no dead letters: nothing was given up")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		t = append(t, []terminal.Cell{
			terminal.Text(short8(r.ID)), terminal.Text(r.Pipeline), terminal.Toned(terminal.Bad, r.Function), terminal.Text(typeWords(r.Type)), terminal.Text(r.Subject),
			terminal.Text(humanize.Int(r.Attempts)), terminal.Text(a.out.Ago(r.Time)), terminal.Text(r.Reason),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("ID"), terminal.Left("PIPELINE"), terminal.Left("FUNCTION"), terminal.Left("EVENT"), terminal.Rest("ABOUT"), terminal.Right("ATTEMPTS"),
		terminal.Left("GIVEN UP"), terminal.Rest("REASON"),
	}, t)
}

// short8 returns the first eight characters of an event id, enough to identify
// it on the command line.
func short8(id string) string { return id[:min(8, len(id))] }

func (a *app) newDeadLetterShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter in full, including its event",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return show(c.Context(), a, url.Values{}, "api/deadletters/"+args[0], func(d api.DeadLetter) {
				line := func(noun string, tone terminal.Tone, text string) {
					if text != "" {
						a.out.Line(a.out.Styled(terminal.Faint, noun), a.out.Styled(tone, text))
					}
				}
				line("id        ", terminal.Plain, d.ID)
				line("pipeline  ", terminal.Plain, d.Pipeline)
				line("function  ", terminal.Plain, d.Function)
				line("reason    ", terminal.Bad, d.Reason)
				line("attempts  ", terminal.Plain, attempts(d))
				line("event     ", terminal.Plain, typeWords(d.Type)+" "+d.Event)
				line("about     ", terminal.Plain, d.Subject)
				var b bytes.Buffer
				if json.Indent(&b, d.Original.Data, "  ", "  ") == nil {
					a.out.Line(a.out.Styled(terminal.Faint, "data"))
					for _, l := range terminal.Lines(b.String()) {
						a.out.Line("  ", l)
					}
				}
				a.out.Line()
				a.out.Line(a.out.Styled(terminal.Faint, "once the cause is fixed: "), "millrace deadletters retry "+short8(d.ID))
			})
		},
	}
}

func attempts(d api.DeadLetter) string {
	text := humanize.Int(d.Attempts)
	if d.Rejected {
		return text + ", then rejected"
	}
	first, err1 := time.Parse(time.RFC3339Nano, d.First)
	last, err2 := time.Parse(time.RFC3339Nano, d.Last)
	if err1 == nil && err2 == nil {
		return text + " within " + humanize.Duration(last.Sub(first))
	}
	return text
}
