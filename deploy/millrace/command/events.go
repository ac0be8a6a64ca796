package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

func (a *app) newEvents() *cobra.Command {
	var s selection
	var q client.Query
	var follow, all bool
	c := &cobra.Command{
		Use:   "events [PIPELINE]",
		Short: "Show the event log, and follow it",
		Long: `Show the newest events of the log, or those from a sequence on; with --follow
also new ones as they arrive. Records of handlings without a result are left out
unless --all or --type includes them. With -o json each event is one line.`,
		Example: `  millrace events flights --follow
  millrace events --type model.promoted,drift.detected
  millrace events flights --from 120 -o json | jq .type`,
		RunE: func(c *cobra.Command, _ []string) error {
			q.Pipeline = s.pipeline
			if err := knownTypes(q.Types); err != nil {
				return err
			}
			return a.events(c, q, follow, all || len(q.Types) > 0)
		},
	}
	s.flags(c, false)
	f := c.Flags()
	f.StringSliceVar(&q.Types, "type", nil, "only these types, such as model.promoted; may be repeated")
	f.BoolVarP(&follow, "follow", "f", false, "show new events as they arrive, until Ctrl-C")
	f.Uint64Var(&q.From, "from", 0, "start at this sequence instead of the newest events")
	f.IntVarP(&q.Limit, "limit", "n", 0, "maximum number of events (by default the newest 100)")
	f.BoolVar(&all, "all", false, "include records of handlings without a result")
	return c
}

// knownTypes refuses names that are not event types.
func knownTypes(names []string) error {
	var known []string
	for _, t := range events.Catalogue() {
		known = append(known, t.Noun()+"."+t.Past())
	}
	for _, n := range names {
		if strings.HasPrefix(n, events.TypePrefix) || slices.Contains(known, n) || strings.Count(n, ".") > 1 {
			continue
		}
		return fail(Usage, "--type %s is not an event type", n).try("one of: %s; or the full name of a foreign type", strings.Join(known, ", "))
	}
	return nil
}

func (a *app) events(c *cobra.Command, q client.Query, follow, all bool) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	seq := cl.Events(c.Context(), q)
	if follow {
		seq = cl.Follow(c.Context(), q)
	}
	quiet := events.EventHandled{}.EventType()
	shown := 0
	for e, err := range seq {
		if follow && c.Context().Err() != nil {
			return nil // Ctrl-C ends --follow.
		}
		if err != nil {
			return err
		}
		if e.Type == quiet && !all {
			continue
		}
		shown++
		if err := a.showEvent(e, q.Pipeline == ""); err != nil {
			return err
		}
	}
	if shown == 0 && !follow && !a.json() {
		a.none("event", "upload data, or see millrace status")
	}
	return nil
}

func (a *app) showEvent(e events.Envelope, pipeline bool) error {
	if a.json() {
		line, err := jsonEvent(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Out, "%s\n", line)
		return err
	}
	tone := terminal.Plain
	if d, err := events.DecodeData(e); err == nil {
		tone = toneOf(d)
	}
	name := ""
	if pipeline {
		name = fmt.Sprintf("%-12s  ", e.Pipeline)
	}
	a.out.Line(a.out.Styled(terminal.Faint, fmt.Sprintf("%6d  %s  ", e.Sequence, a.out.Clock(e.Time))), a.out.Styled(terminal.Plain, name),
		a.out.Styled(tone, fmt.Sprintf("%-*s  ", eventWidth, typeWords(e.Type))), a.out.Styled(terminal.Plain, summary.Of(e)))
	return nil
}

// jsonEvent encodes an event as the API does, with its log position.
func jsonEvent(e events.Envelope) ([]byte, error) {
	var m map[string]json.RawMessage
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	m["sequence"] = json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(e.Sequence)))
	return json.Marshal(m)
}
