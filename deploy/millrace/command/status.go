package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newStatus() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use:     "status [PIPELINE]",
		Short:   "Show the state of the system and its pipelines",
		Example: "  millrace status\n  millrace status flights --at 2h",
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := s.query(time.Now())
			if err != nil {
				return err
			}
			return show(c.Context(), a, query, "api/status", a.showStatus)
		},
	}
	s.flags(c, true)
	return c
}

func (a *app) showStatus(s api.Status) {
	o := a.out
	o.Line(o.Styled(terminal.Strong, "millrace "+s.Version), o.Styled(terminal.Faint, fmt.Sprintf(" at %s, up for %s, %s in the log (%s)",
		a.Server, humanize.Duration(time.Duration(s.UptimeSeconds*float64(time.Second))), humanize.Count(s.Log.Events, "event"), humanize.Bytes(s.Log.Bytes))))
	if s.Log.Degraded != "" {
		o.Line(o.Styled(terminal.Bad, s.Log.Degraded))
	}
	if u := s.Log.Unreadable; u.Count > 0 {
		first := u.Records[0]
		o.Line(o.Styled(terminal.Warn, fmt.Sprintf("%s of the log cannot be read and %s skipped, the first at sequence %d (%s): millrace doctor log",
			humanize.Count(u.Count, "record"), either(u.Count == 1, "is", "are"), first.Sequence, first.Reason)))
	}
	a.showFailing(s.Failing)
	if len(s.Pipelines) == 0 {
		a.none("pipeline", "start the system with --pipelines and a folder that holds a pipeline.yaml")
	}
	for _, p := range s.Pipelines {
		o.Line()
		a.showPipeline(p)
	}
}

// showFailing prints the events that are tried again, the longest first.
func (a *app) showFailing(all []api.Failing) {
	const most = 5
	for i, f := range all {
		if i == most {
			a.out.Line(a.out.Styled(terminal.Warn, fmt.Sprintf("and %s more that fail: -o json has all", humanize.Count(len(all)-most, "event"))))
			return
		}
		a.out.Line(a.out.Styled(terminal.Warn, fmt.Sprintf("%s fails to handle %s %s (%s), attempt %d of %d, first %s, %s: %s",
			f.Function, typeWords(f.Type), f.Subject, short8(f.Event), f.Attempt, f.Attempts, a.out.Ago(f.First), a.nextAttempt(f.Next), f.Reason)))
	}
}

// nextAttempt says when an event is tried again.
func (a *app) nextAttempt(next time.Time) string {
	if wait := time.Until(next); wait > 0 {
		return "next in " + humanize.Duration(wait)
	}
	return "trying again now"
}

// showPipeline prints a pipeline in a few lines, each about one noun.
func (a *app) showPipeline(p api.PipelineStatus) {
	o := a.out
	o.Line(o.Styled(terminal.Strong, p.Pipeline), o.Styled(terminal.Faint, optional("  ", p.Description)))
	line := func(noun string, tone terminal.Tone, text string) {
		if text != "" {
			o.Line("  ", o.Styled(terminal.Faint, fmt.Sprintf("%-9s", noun)), o.Styled(tone, text))
		}
	}
	line("dataset", terminal.Plain, datasetLine(p))
	if l := p.Late; l != nil {
		line("late", terminal.Bad, fmt.Sprintf("data was due %s: %s", o.Ago(l.Due), l.Reason))
	}
	if n := p.Objects[api.ObjectRejected]; n > 0 {
		line("", terminal.Bad, fmt.Sprintf("%s rejected", humanize.Count(n, "upload")))
	}
	if p.SetAside > 0 {
		line("", terminal.Warn, fmt.Sprintf("%s of %s set aside: millrace set-aside %s", humanize.Count(p.SetAside, "row"), humanize.Count(p.SetAsideUploads, "upload"), p.Pipeline))
	}
	if p.Outdated > 0 {
		line("contract", terminal.Warn, outdatedLine(p))
	}
	if r := p.Reingest; r != nil && (r.Left > 0 || r.Rejected > 0 && p.Outdated > 0) {
		line("reingest", terminal.Warn, reingestWords(*r)+", started "+o.Ago(r.Started))
	}
	for _, r := range p.Running {
		line("training", terminal.Warn, fmt.Sprintf("run %s, started %s%s", r.Run, o.Ago(r.Started), optional(": ", progressOf(r))))
	}
	if w := p.Pending(); w != nil {
		line("waiting", terminal.Warn, fmt.Sprintf("training because of %s: %s", w.Trigger, w.Reason))
	}
	if r := p.Last; r != nil && r.Status == api.RunFailed {
		line("training", terminal.Bad, fmt.Sprintf("run %s failed %s: %s", r.Run, o.Ago(*r.Ended), r.Failure))
	}
	line("model", terminal.Plain, modelLine(o, p))
	line("traffic", terminal.Plain, trafficLine(o, p))
	if d := p.Drift; d != nil {
		tone := terminal.Good
		if d.Drifted {
			tone = terminal.Warn
		}
		line("drift", tone, d.Reason+", "+o.Ago(d.Time))
	}
	if p.Dead > 0 {
		line("dead", terminal.Bad, humanize.Count(p.Dead, "dead letter")+": millrace deadletters "+p.Pipeline)
	}
}

func datasetLine(p api.PipelineStatus) string {
	if p.Snapshot == "" {
		return "empty; it takes " + strings.Join(p.Uploads, ", ")
	}
	text := fmt.Sprintf("%s in %s, snapshot %s", humanize.Count(p.Rows, "row"), humanize.Count(p.Partitions, "partition"), terminal.Short(p.Snapshot))
	if p.Superseded > 0 {
		text += fmt.Sprintf("; %s superseded by newer ones", humanize.Int(p.Superseded))
	}
	return text
}

// outdatedLine names partitions that were read under an earlier contract.
func outdatedLine(p api.PipelineStatus) string {
	const most = 3
	names := p.OutdatedUploads[:min(most, len(p.OutdatedUploads))]
	list := strings.Join(names, ", ")
	if more := p.Outdated - len(names); more > 0 {
		list += fmt.Sprintf(" and %s more", humanize.Int(more))
	}
	text := fmt.Sprintf("%s of %s read under an earlier contract (%s)", humanize.Int(p.Outdated), humanize.Count(p.Partitions, "partition"), list)
	if r := p.Reingest; r != nil && r.Left > 0 {
		return text
	}
	return text + ": millrace reingest " + p.Pipeline
}

func modelLine(s *terminal.Screen, p api.PipelineStatus) string {
	if p.Models == 0 {
		return ""
	}
	text := humanize.Count(p.Models, "version")
	if c := p.Route.Champion; c > 0 {
		text = fmt.Sprintf("v%d is the champion", c)
	}
	if n := p.Newest; n != nil && n.Version != p.Route.Champion {
		text += fmt.Sprintf("; v%d, %s, is %s", n.Version, s.Ago(n.Created), article(string(n.State)))
	}
	return text
}

// article returns a model's state as it stands in a sentence.
func article(state string) string {
	if state == "rejected" || state == "archived" {
		return state
	}
	return "a " + state
}

func trafficLine(s *terminal.Screen, p api.PipelineStatus) string {
	text := terminal.Weights(p.Route.Weights)
	if r := p.Route.Rollout; r != nil {
		text += "; " + rolloutWords(*r)
	}
	if p.Served.Rows > 0 {
		last := ""
		if p.Served.Last != nil {
			last = ", the last " + s.Ago(*p.Served.Last)
		}
		text += "; " + humanize.Count(p.Served.Rows, "prediction") + " logged" + last
	}
	return strings.TrimPrefix(text, "; ")
}

func rolloutWords(r api.RolloutRow) string {
	text := fmt.Sprintf("v%d at step %d of %d, %s answered", r.Version, r.Step+1, max(1, len(r.Steps)), humanize.Count(r.Requests, "request"))
	if r.Errors > 0 {
		text += fmt.Sprintf(", %s failed", humanize.Int(r.Errors))
	}
	if r.Waiting {
		text += ", waits for approval"
	}
	return text
}

func progressOf(r api.RunRow) string {
	if r.Step == 0 && len(r.Metrics) == 0 {
		return ""
	}
	return fmt.Sprintf("step %s%s", humanize.Int(r.Step), optional(", ", terminal.Metrics(r.Metrics)))
}

func either(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

// optional returns text with a prefix, or "" if text is empty.
func optional(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
