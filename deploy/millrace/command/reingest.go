package command

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

// reingesting is what `reingest` was asked for.
type reingesting struct {
	since, reason     string
	dryRun, yes, stop bool
	waiting
}

func (a *app) newReingest() *cobra.Command {
	var r reingesting
	c := &cobra.Command{
		Use:   "reingest PIPELINE",
		Short: "Read kept uploads again under a new contract",
		Long: `Read the kept uploads again that were read under an earlier contract: other
columns, rules, checks or prepare in the pipeline file. Each replaces its
partition; one that breaks the new contract is rejected, and its partition
stays as it was.

First it shows how many files and bytes there are to read, and asks. One upload
is read at a time, and new uploads go first. A kill loses nothing: it continues
where it was. "millrace status" shows how far it has come; with --wait the
command prints it, and ends when the last upload is read: with exit code 3 if one of
them was rejected.`,
		Example: `  millrace reingest flights --dry-run
  millrace reingest flights --since 2026-01-31 --yes --reason "decimal commas"
  millrace reingest flights --yes --wait
  millrace reingest flights --stop`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.reingest(c.Context(), args[0], r) },
	}
	f := c.Flags()
	f.StringVar(&r.since, "since", "", "only uploads since that time: 2026-01-31T12:00:00Z, 2026-01-31, 14:05, or 48h for two days ago")
	f.StringVar(&r.reason, "reason", "", "reason to record in the log")
	f.BoolVar(&r.dryRun, "dry-run", false, "show what would be read, and read nothing")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&r.stop, "stop", false, "end the reingest that is under way")
	r.flags(c, "wait until every upload is read again")
	c.MarkFlagsMutuallyExclusive("stop", "dry-run", "wait")
	c.MarkFlagsMutuallyExclusive("stop", "since")
	return c
}

func (a *app) reingest(ctx context.Context, pipeline string, r reingesting) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	d := events.ReingestRequested{By: me(), Reason: r.reason, Stop: r.stop}
	if r.stop {
		return a.requestReingest(ctx, cl, pipeline, d, "to stop", r.waiting)
	}
	if r.since != "" {
		t, err := parseTime("--since", r.since, time.Now())
		if err != nil {
			return err
		}
		d.Since = t.UTC().Format(time.RFC3339Nano)
	}
	plan, err := cl.ReingestPlan(ctx, pipeline, d.Since)
	if err != nil {
		return err
	}
	if r.dryRun {
		if a.json() {
			return a.print(plan)
		}
		a.showReingestPlan(plan)
		return nil
	}
	if plan.Files > 0 && plan.Reingest == nil && !r.yes {
		a.showReingestPlan(plan)
		if !a.agreed("Read them again?") {
			return fail(Failed, "nothing is read again").try("answer y, or add --yes")
		}
	}
	if r.wait && plan.Reingest != nil {
		return fail(Failed, "a reingest is under way: %s", reingestWords(*plan.Reingest)).try("wait for its end, which millrace status %s shows, or end it with --stop", pipeline)
	}
	return a.requestReingest(ctx, cl, pipeline, d, "requested: "+planWords(plan), r.waiting)
}

func (a *app) requestReingest(ctx context.Context, cl *client.Client, pipeline string, d events.ReingestRequested, what string, w waiting) error {
	asked, err := cl.Reingest(ctx, pipeline, d)
	if err != nil {
		return err
	}
	if w.wait {
		return a.waitForReingest(ctx, cl, pipeline, asked.Event, w.timeout)
	}
	if a.json() {
		return a.print(asked)
	}
	a.out.Line(a.out.Styled(terminal.Good, "reingest "+what), a.out.Styled(terminal.Faint, "  "+asked.Event))
	if !d.Stop {
		a.out.Line(a.out.Styled(terminal.Faint, "next  "), "millrace status "+pipeline)
	}
	return nil
}

func (a *app) waitForReingest(ctx context.Context, c *client.Client, pipeline, event string, timeout time.Duration) error {
	at, err := c.Sequence(ctx, pipeline, event)
	if err != nil {
		return err
	}
	targets := []target{{what: "reingest of " + pipeline, pipeline: pipeline, event: event, chain: wait.New(event, wait.Read)}}
	if err := a.watch(ctx, c, at, targets, timeout); err != nil {
		return err
	}
	return a.conclude(targets)
}

func planWords(p api.ReingestPlan) string {
	return fmt.Sprintf("%s, %s", humanize.Count(p.Files, "upload"), humanize.Bytes(p.Bytes))
}

func (a *app) showReingestPlan(p api.ReingestPlan) {
	a.out.Line(a.out.Styled(terminal.Strong, planWords(p)), " read under an earlier contract")
	for _, name := range p.Uploads {
		a.out.Line("  ", name)
	}
	if more := p.Files - len(p.Uploads); more > 0 {
		a.out.Line(a.out.Styled(terminal.Faint, fmt.Sprintf("  and %s more", humanize.Int(more))))
	}
	if r := p.Reingest; r != nil {
		a.out.Line(a.out.Styled(terminal.Warn, "a reingest is under way: "+reingestWords(*r)))
	}
}

func reingestWords(r api.ReingestRow) string {
	text := fmt.Sprintf("%s of %s read again", humanize.Int(r.Done), humanize.Count(r.Files, "upload"))
	if r.Rejected > 0 {
		text += fmt.Sprintf(", %s rejected", humanize.Int(r.Rejected))
	}
	return text + optional("; ", r.Note)
}

// agreed asks on standard error, and reports whether the answer is yes.
func (a *app) agreed(question string) bool {
	fmt.Fprint(a.Err, question+" [y/N] ")
	line, _ := bufio.NewReader(a.In).ReadString('\n') // without an answer it is no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}
