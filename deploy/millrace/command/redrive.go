package command

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

// letters selects open dead letters: those with these ids, or all that match.
type letters struct {
	ids                                   []string
	all                                   bool
	pipeline, function, kind, text, since string
}

func (l *letters) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&l.all, "all", false, "all open dead letters")
	f.StringVar(&l.pipeline, "pipeline", "", "all of this pipeline")
	f.StringVar(&l.function, "function", "", "all that this function gave up")
	f.StringVar(&l.kind, "type", "", "all events of this type, such as object.uploaded")
	f.StringVar(&l.text, "match", "", "all whose reason contains this text")
	f.StringVar(&l.since, "since", "", "all given up since that time: 2026-01-31T12:00:00Z, 2026-01-31, 14:05, or 2h for two hours ago")
}

// many reports whether the letters are selected by what they have in common.
func (l *letters) many() bool {
	return l.all || cmp.Or(l.pipeline, l.function, l.kind, l.text, l.since) != ""
}

// find returns the letters, oldest first.
func (l *letters) find(ctx context.Context, cl *client.Client) ([]api.DeadLetterRow, error) {
	if l.many() == (len(l.ids) > 0) {
		return nil, fail(Usage, "give either ids, or what the dead letters have in common").try("--all, --pipeline, --function, --type, --match or --since")
	}
	var since time.Time
	if l.since != "" {
		var err error
		if since, err = parseTime("--since", l.since, time.Now()); err != nil {
			return nil, err
		}
	}
	var open []api.DeadLetterRow
	if err := cl.Get(ctx, &open, url.Values{}, "api/deadletters"); err != nil {
		return nil, err
	}
	open = slices.DeleteFunc(open, func(r api.DeadLetterRow) bool {
		return l.pipeline != "" && r.Pipeline != l.pipeline || l.function != "" && r.Function != l.function ||
			l.kind != "" && r.Type != l.kind && typeWords(r.Type) != l.kind ||
			!strings.Contains(strings.ToLower(r.Reason), strings.ToLower(l.text)) || r.Time.Before(since)
	})
	slices.SortStableFunc(open, func(x, y api.DeadLetterRow) int { return x.Time.Compare(y.Time) })
	return open, nil
}

// redrive is what `deadletters retry` was asked for.
type redrive struct {
	letters
	reason  string
	atOnce  bool
	dryRun  bool
	rate    float64
	timeout time.Duration
}

func (a *app) newDeadLetterRetry() *cobra.Command {
	var r redrive
	c := &cobra.Command{
		Use:   "retry [ID...]",
		Short: "Send events again, each to the function that gave it up",
		Long: `Send events again, each to the function that gave it up: those with these ids, or
all that have something in common.

Of several that are selected so, the oldest is sent first, and the others when it
has been handled: if it is given up again, or is not handled in time, the others
stay as they are. --at-once leaves that out.`,
		Example: "  millrace deadletters retry 3f9c0a1b\n  millrace deadletters retry --function ingest --since 2h\n  millrace deadletters retry --all --match 'connection refused' --rate 5",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			r.ids = args
			return a.retryDeadLetters(c.Context(), r)
		},
	}
	r.flags(c)
	f := c.Flags()
	f.StringVar(&r.reason, "reason", "", "reason to record in the log")
	f.BoolVar(&r.atOnce, "at-once", false, "do not try one first")
	f.BoolVar(&r.dryRun, "dry-run", false, "show which would be sent again, and send none")
	f.Float64Var(&r.rate, "rate", 10, "events a second")
	f.DurationVar(&r.timeout, "timeout", time.Minute, "how long the first may take to be handled")
	return c
}

func (a *app) retryDeadLetters(ctx context.Context, r redrive) error {
	if r.rate <= 0 {
		return fail(Usage, "--rate %g is not above 0", r.rate)
	}
	cl, err := a.client()
	if err != nil {
		return err
	}
	if !r.many() && !r.dryRun {
		return a.closeDeadLetters(ctx, cl, r.ids, "retry", r.reason, 0)
	}
	found, err := r.find(ctx, cl)
	if err != nil {
		return err
	}
	if r.dryRun || len(found) == 0 {
		return a.selectedDeadLetters(found)
	}
	ids := idsOf(found)
	if len(found) > 1 && !r.atOnce {
		if err := a.tryDeadLetter(ctx, cl, found[0], len(found)-1, r); err != nil {
			return err
		}
		ids = ids[1:]
	}
	return a.closeDeadLetters(ctx, cl, ids, "retry", r.reason, time.Duration(float64(time.Second)/r.rate))
}

// tryDeadLetter sends one letter again and waits until it was handled.
func (a *app) tryDeadLetter(ctx context.Context, cl *client.Client, l api.DeadLetterRow, others int, r redrive) error {
	from, err := cl.LastSequence(ctx)
	if err != nil {
		return err
	}
	asked, err := cl.CloseDeadLetter(ctx, l.ID, "retry", me(), r.reason)
	if err != nil {
		return err
	}
	a.err.Line("trying one first: ", short8(l.ID), a.err.Styled(terminal.Faint, "  "+asked.Event))
	rest := humanize.Count(others, "other dead letter")
	waiting, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for e, err := range cl.Follow(waiting, client.Query{Pipeline: l.Pipeline, From: from}) {
		switch {
		case waiting.Err() != nil:
		case err != nil:
			return err
		case e.CausationID != asked.Event:
		case e.Type == events.DeadLetterRecorded{}.EventType():
			again, err := events.Decode[events.DeadLetterRecorded](e)
			if err != nil {
				return err
			}
			return fail(Failed, "%s gave it up again: %s; %s not sent", l.Function, again.Data.Reason, rest).try("see millrace why %s, or send them all the same with --at-once", short8(asked.Event))
		default:
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fail(Failed, "the first was not handled within %s; %s not sent", humanize.Duration(r.timeout), rest).try("see millrace why %s; wait longer with --timeout, or send them all the same with --at-once", short8(asked.Event))
}

func (a *app) newDeadLetterDrop() *cobra.Command {
	var (
		l           letters
		reason      string
		dryRun, yes bool
	)
	c := &cobra.Command{
		Use:   "drop [ID...]",
		Short: "Close dead letters without sending the events again",
		Long: `Close dead letters without sending their events again: those with these ids, or all
that have something in common, which needs a reason and is asked for.`,
		Example: "  millrace deadletters drop 3f9c0a1b\n  millrace deadletters drop --pipeline churn --match 'no such bucket' --reason 'the bucket is gone'",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			l.ids = args
			cl, err := a.client()
			if err != nil {
				return err
			}
			if !l.many() && !dryRun {
				return a.closeDeadLetters(c.Context(), cl, args, "drop", reason, 0)
			}
			if reason == "" && !dryRun {
				return fail(Usage, "--reason is missing: the log says why many events were dropped")
			}
			found, err := l.find(c.Context(), cl)
			if err != nil {
				return err
			}
			if dryRun || len(found) == 0 {
				return a.selectedDeadLetters(found)
			}
			if !yes {
				if err := a.selectedDeadLetters(found); err != nil {
					return err
				}
				if !a.agreed("Drop " + humanize.Count(len(found), "dead letter") + "?") {
					return fail(Failed, "nothing is dropped").try("answer y, or add --yes")
				}
			}
			return a.closeDeadLetters(c.Context(), cl, idsOf(found), "drop", reason, 0)
		},
	}
	l.flags(c)
	f := c.Flags()
	f.StringVar(&reason, "reason", "", "reason to record in the log")
	f.BoolVar(&dryRun, "dry-run", false, "show which would be dropped, and drop none")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func idsOf(rows []api.DeadLetterRow) []string {
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// selectedDeadLetters shows what was selected.
func (a *app) selectedDeadLetters(rows []api.DeadLetterRow) error {
	if a.json() {
		return a.print(rows)
	}
	if len(rows) == 0 {
		a.err.Line("no dead letter matches")
		return nil
	}
	a.showDeadLetters(rows)
	return nil
}

// closeDeadLetters sends letters again or drops them, one after another with a
// pause between two. One that fails ends it.
func (a *app) closeDeadLetters(ctx context.Context, cl *client.Client, ids []string, action, reason string, pause time.Duration) error {
	if len(ids) == 0 {
		return fail(Usage, "give ids, or what the dead letters have in common").try("--all, --pipeline, --function, --type, --match or --since")
	}
	said := map[string]string{"retry": "sent again", "drop": "dropped"}[action]
	done := []client.Asked{}
	for i, id := range ids {
		if i > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		asked, err := cl.CloseDeadLetter(ctx, id, action, me(), reason)
		if err != nil {
			if len(done) > 0 {
				err = fmt.Errorf("%s %s, then: %w", humanize.Count(len(done), "dead letter"), said, err)
			}
			return err
		}
		done = append(done, asked)
		if !a.json() {
			a.out.Line(a.out.Styled(terminal.Good, said), "  "+terminal.Clean(short8(id)), a.out.Styled(terminal.Faint, "  "+asked.Event))
		}
	}
	if a.json() {
		return a.print(done)
	}
	return nil
}
