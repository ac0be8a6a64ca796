package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newReplay() *cobra.Command {
	var r api.ReplayRequest
	var file string
	c := &cobra.Command{
		Use:   "replay PIPELINE --function NAME --from SEQ --dry-run",
		Short: "Replay past events against today's code or another pipeline file",
		Long: `Replay past events with today's code and, with --config, another pipeline file,
and show which decisions would have been different. Nothing is changed, trained
or rolled out.

Functions that can be replayed are evaluate (gates), promote (steps and
guardrails, over the recorded traffic) and drift-check (tests and thresholds).
Recorded figures are used where they suffice; only what an evaluation never
measured is measured now.`,
		Example: `  millrace replay flights --function evaluate --from 1 --config stricter.yaml --dry-run
  millrace replay flights --function promote --from 1200 --to 4000 --config pipeline.yaml --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !r.DryRun {
				return fail(Usage, "replay never changes anything; confirm that with --dry-run").try("%s --dry-run", c.CommandPath())
			}
			if r.Function == "" || r.From == 0 {
				return usage(c, "--function and --from are required: which function to replay, and from which sequence of the log")
			}
			if file != "" {
				if err := readConfig(file, &r); err != nil {
					return err
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			report, err := cl.Replay(c.Context(), args[0], r)
			if err != nil {
				return err
			}
			if a.json() {
				return a.print(report)
			}
			a.showReplay(report)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&r.Function, "function", "", "evaluate, promote or drift-check")
	f.Uint64Var(&r.From, "from", 0, "sequence of the first event to replay; 1 is the beginning")
	f.Uint64Var(&r.To, "to", 0, "sequence of the last event to replay; the newest by default")
	f.StringVar(&file, "config", "", "pipeline file, or its folder, to use instead of the recorded configuration")
	f.BoolVar(&r.DryRun, "dry-run", false, "required: confirms that replay changes nothing")
	return c
}

func readConfig(file string, r *api.ReplayRequest) error {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, config.FileName)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return fail(Failed, "%v", err)
	}
	r.Config, r.File = string(raw), file
	return nil
}

func (a *app) showReplay(r api.ReplayReport) {
	o := a.out
	tone := terminal.Good
	if len(r.Differences) > 0 {
		tone = terminal.Warn
	}
	o.Line(o.Styled(tone, r.Summary))
	detail := fmt.Sprintf("%s of %s replayed in %s", humanize.Count(int64(r.Replayed), "event"), r.Function, humanize.Duration(time.Duration(r.Seconds*float64(time.Second))))
	if r.Measured > 0 {
		detail += fmt.Sprintf(", %s computed again", humanize.Count(int64(r.Measured), "evaluation"))
	}
	o.Line(o.Styled(terminal.Faint, detail+"; nothing was changed"))
	if len(r.Differences) == 0 {
		return
	}
	t := [][]terminal.Cell{}
	for _, d := range r.Differences {
		t = append(t, []terminal.Cell{
			terminal.Text(humanize.Int(d.Sequence)), terminal.Text(o.Ago(d.Time)), terminal.Text(typeWords(d.Type)), terminal.Toned(terminal.Strong, terminal.Version(d.Version)),
			terminal.Text(announcedWords(d.Recorded)), terminal.Toned(terminal.Warn, announcedWords(d.Replayed)), terminal.Text(says(d.Replayed)),
		})
	}
	o.Line()
	o.Table([]terminal.Column{
		terminal.Right("SEQ"), terminal.Left("WHEN"), terminal.Left("EVENT"), terminal.Left("VERSION"), terminal.Left("RECORDED"), terminal.Left("REPLAYED"), terminal.Rest("WHY"),
	}, t)
}

func announcedWords(d api.ReplayDecision) string {
	switch {
	case d.Error != "":
		return "failed"
	case len(d.Announced) == 0:
		return "nothing"
	}
	return strings.Join(d.Announced, ", ")
}

func says(d api.ReplayDecision) string {
	if d.Error != "" {
		return d.Error
	}
	return strings.Join(d.Says, "; ")
}
