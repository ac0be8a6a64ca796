package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway"
	"millrace.dev/shared/state"
)

func (a *app) newStatus() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use:     "status [PIPELINE]",
		Short:   "How the system and its pipelines are",
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

func (a *app) showStatus(s gateway.Status) {
	o := a.out
	o.Line(o.Styled(terminal.Strong, "millrace "+s.Version), o.Styled(terminal.Faint, fmt.Sprintf(" at %s, up for %s, %s in the log (%s)",
		a.Server, terminal.Duration(time.Duration(s.UptimeSeconds*float64(time.Second))), terminal.Count(s.Log.Events, "event"), terminal.Bytes(s.Log.Bytes))))
	if s.Log.Trouble != "" {
		o.Line(o.Styled(terminal.Bad, s.Log.Trouble))
	}
	if len(s.Pipelines) == 0 {
		a.none("pipeline", "start the system with --pipelines and a folder that holds a pipeline.yaml")
	}
	for _, p := range s.Pipelines {
		o.Line()
		a.showPipeline(p)
	}
}

// showPipeline is a pipeline in a few lines, each about one noun.
func (a *app) showPipeline(p gateway.PipelineStatus) {
	o := a.out
	o.Line(o.Styled(terminal.Strong, p.Pipeline), o.Styled(terminal.Faint, optional("  ", p.Description)))
	line := func(noun string, tone terminal.Tone, text string) {
		if text != "" {
			o.Line("  ", o.Styled(terminal.Faint, fmt.Sprintf("%-9s", noun)), o.Styled(tone, text))
		}
	}
	line("dataset", terminal.Plain, datasetLine(p))
	if n := p.Objects[state.ObjectRejected]; n > 0 {
		line("", terminal.Bad, fmt.Sprintf("%s rejected", terminal.Count(n, "upload")))
	}
	for _, r := range p.Running {
		line("training", terminal.Warn, fmt.Sprintf("run %s, started %s%s", r.Run, o.Ago(r.Started), optional(": ", progressOf(r))))
	}
	if w := p.Wish; w != nil {
		line("waiting", terminal.Warn, fmt.Sprintf("training because of %s: %s", w.Trigger, w.Reason))
	}
	if r := p.Last; r != nil && r.Status == state.RunFailed {
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
		line("dead", terminal.Bad, terminal.Count(p.Dead, "dead letter")+": millrace deadletters "+p.Pipeline)
	}
}

func datasetLine(p gateway.PipelineStatus) string {
	if p.Snapshot == "" {
		return "empty; it takes " + strings.Join(p.Uploads, ", ")
	}
	return fmt.Sprintf("%s in %s, snapshot %s", terminal.Count(p.Rows, "row"), terminal.Count(p.Partitions, "partition"), terminal.Short(p.Snapshot))
}

func modelLine(s *terminal.Screen, p gateway.PipelineStatus) string {
	if p.Models == 0 {
		return ""
	}
	text := terminal.Count(p.Models, "version")
	if c := p.Route.Champion; c > 0 {
		text = fmt.Sprintf("v%d is the champion", c)
	}
	if n := p.Newest; n != nil && n.Version != p.Route.Champion {
		text += fmt.Sprintf("; v%d, %s, is %s", n.Version, s.Ago(n.Created), article(string(n.State)))
	}
	return text
}

// article is a standing of a model in a sentence.
func article(state string) string {
	if state == "rejected" || state == "archived" {
		return state
	}
	return "a " + state
}

func trafficLine(s *terminal.Screen, p gateway.PipelineStatus) string {
	text := terminal.Weights(p.Route.Weights)
	if r := p.Route.Rollout; r != nil {
		text += "; " + rolloutWords(*r)
	}
	if p.Served.Rows > 0 {
		last := ""
		if p.Served.Last != nil {
			last = ", the last " + s.Ago(*p.Served.Last)
		}
		text += "; " + terminal.Count(p.Served.Rows, "prediction") + " logged" + last
	}
	return strings.TrimPrefix(text, "; ")
}

func rolloutWords(r gateway.RolloutRow) string {
	text := fmt.Sprintf("v%d at step %d of %d, %s answered", r.Version, r.Step+1, max(1, len(r.Steps)), terminal.Count(r.Requests, "request"))
	if r.Errors > 0 {
		text += fmt.Sprintf(", %s failed", terminal.Number(r.Errors))
	}
	if r.Waiting {
		text += ", waits for a person's yes"
	}
	return text
}

func progressOf(r gateway.RunRow) string {
	if r.Step == 0 && len(r.Metrics) == 0 {
		return ""
	}
	return fmt.Sprintf("step %s%s", terminal.Number(r.Step), optional(", ", terminal.Metrics(r.Metrics)))
}

// optional is a text with what comes before it, or nothing.
func optional(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
