package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
)

// selection is the pipeline, or all of them, and the point in time that a
// command shows.
type selection struct {
	pipeline string
	at       string
	sequence uint64
}

// flags adds the selection's flags to a command that may also have the
// pipeline as its argument.
func (s *selection) flags(c *cobra.Command, past bool) {
	f := c.Flags()
	f.StringVar(&s.pipeline, "pipeline", "", "only this pipeline; same as the argument")
	if past {
		f.StringVar(&s.at, "at", "", "state at a past time: 2026-01-31T12:00:00Z, 2026-01-31, 14:05, or 2h for two hours ago")
		f.Uint64Var(&s.sequence, "seq", 0, "state at this sequence of the event log")
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := cobra.MaximumNArgs(1)(c, args); err != nil {
			return err
		}
		if len(args) == 1 {
			if s.pipeline != "" && s.pipeline != args[0] {
				return fmt.Errorf("two pipelines are given: %s and --pipeline %s", args[0], s.pipeline)
			}
			s.pipeline = args[0]
		}
		if s.at != "" && s.sequence > 0 {
			return fmt.Errorf("--at and --seq are both given; give one of them")
		}
		return nil
	}
}

func (s *selection) query(now time.Time) (url.Values, error) {
	v := url.Values{}
	if s.pipeline != "" {
		v.Set("pipeline", s.pipeline)
	}
	if s.at != "" {
		t, err := parseTime("--at", s.at, now)
		if err != nil {
			return nil, err
		}
		v.Set("at", t.UTC().Format(time.RFC3339Nano))
	}
	if s.sequence > 0 {
		v.Set("seq", fmt.Sprint(s.sequence))
	}
	return v, nil
}

// parseTime parses a time as people write it: with or without a date, with or
// without a zone (then local), or as a duration before now. The error names the flag.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fail(Usage, "%s %s is not a time", flag, text).try("write 2026-01-31T12:00:00Z, 2026-01-31, 14:05, or 2h for two hours ago")
}

// show prints an answer of the API: unchanged for -o json, otherwise through
// table.
func show[T any](ctx context.Context, a *app, query url.Values, path string, table func(T)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	body, err := c.JSON(ctx, query, path)
	if err != nil {
		return err
	}
	if a.json() {
		return a.print(body)
	}
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return &client.Error{Text: fmt.Sprintf("the server's answer cannot be decoded: %v", err), Hint: "check that it has the version of this command: millrace version, millrace status"}
	}
	table(v)
	return nil
}

// print writes JSON for programs and people.
func (a *app) print(v any) error {
	e := json.NewEncoder(a.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// newList returns a command that lists rows of the API, for one pipeline or all.
func newList[T any](a *app, name, short, path string, table func([]T)) *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use:   name + " [PIPELINE]",
		Short: short,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := s.query(time.Now())
			if err != nil {
				return err
			}
			return show(c.Context(), a, query, path, table)
		},
	}
	s.flags(c, true)
	return c
}

// none reports an empty list on standard error, since it is not a result.
func (a *app) none(what, hint string) {
	a.err.Line("no "+what+" yet; ", a.err.Styled(terminal.Faint, hint))
}
