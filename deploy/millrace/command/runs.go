package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newRuns() *cobra.Command {
	c := newList(a, "runs", "List training runs and their results", "api/runs", a.showRuns)
	c.Example = "  millrace runs flights"
	return c
}

func (a *app) showRuns(rows []api.RunRow) {
	if len(rows) == 0 {
		a.none("run", "data that passes its contract starts one, or: millrace retrain PIPELINE")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		tone, text := terminal.Good, progressOf(r)
		switch r.Status {
		case api.RunStarted:
			tone = terminal.Warn
		case api.RunFailed:
			tone, text = terminal.Bad, r.Failure
		}
		if told := warnings(r.Warnings); told != "" {
			text = strings.TrimPrefix(text+"; warning: "+told, "; ")
		}
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Text(r.Run), terminal.Toned(tone, string(r.Status)), terminal.Text(terminal.Version(r.Version)),
			terminal.Text(r.Trigger), terminal.Text(humanize.Int(r.Rows)), terminal.Text(humanize.Int(r.Holdout)), terminal.Text(took(r.Seconds)),
			terminal.Text(a.out.Ago(r.Started)), terminal.Text(text),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("RUN"), terminal.Left("STATUS"), terminal.Left("MODEL"), terminal.Left("BECAUSE OF"),
		terminal.Right("ROWS"), terminal.Right("HELD OUT"), terminal.Right("TOOK"), terminal.Left("STARTED"), terminal.Rest("LAST WORD"),
	}, t)
}

func (a *app) newLogs() *cobra.Command {
	return &cobra.Command{
		Use:     "logs RUN",
		Short:   "Show the output of a trainer",
		Example: "  millrace logs 3f9c0a1b2c4d",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			run, err := findRun(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			answer, err := cl.Do(c.Context(), http.MethodGet, "api/runs", run, "log")
			if err != nil {
				return err
			}
			defer answer.Close()
			log, err := io.ReadAll(answer)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if a.json() {
				return a.print(map[string]string{"run": run, "log": string(log)})
			}
			for _, line := range terminal.Lines(string(log)) {
				a.out.Line(line)
			}
			return nil
		},
	}
}

// findRun returns the run whose id begins with the given text.
func findRun(ctx context.Context, c *client.Client, begin string) (string, error) {
	var rows []api.RunRow
	if err := c.Get(ctx, &rows, nil, "api/runs"); err != nil {
		return "", err
	}
	var found []string
	for _, r := range rows {
		if strings.HasPrefix(r.Run, begin) && begin != "" {
			found = append(found, r.Run)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fail(Failed, "there is no run %q", begin).try("millrace runs lists them")
	}
	return "", fail(Failed, "%q matches several runs", begin).try("give more characters: %s", strings.Join(found, ", "))
}
