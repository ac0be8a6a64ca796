package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

// asideRow is a row that was set aside, as the file in the artifact store has it.
type asideRow struct {
	Record int64  `json:"record"`
	Line   int64  `json:"line,omitempty"`
	Text   string `json:"text"`
	Faults []struct {
		Column string `json:"column,omitempty"`
		Value  string `json:"value,omitempty"`
		Reason string `json:"reason"`
	} `json:"faults"`
}

func (a *app) newSetAside() *cobra.Command {
	return &cobra.Command{
		Use:   "set-aside [PIPELINE [UPLOAD]]",
		Short: "Show the rows of uploads that were set aside, and why",
		Long: `List the uploads that have rows set aside under data.quarantine, or show
these rows of one upload: the number of the record, its line, what is wrong with
which column, and the text as it was uploaded.

With -o json the rows of an upload are JSON lines.`,
		Example: "  millrace set-aside flights\n  millrace set-aside flights flights/2013-05.csv -o json > broken.jsonl",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return a.showSetAside(c.Context(), args[0], args[1])
			}
			s := selection{pipeline: strings.Join(args, "")}
			query, err := s.query(time.Now())
			if err != nil {
				return err
			}
			return show(c.Context(), a, query, "api/set-aside", a.listSetAside)
		},
	}
}

func (a *app) listSetAside(rows []api.SetAsideRow) {
	if len(rows) == 0 {
		a.none("row set aside", "data.quarantine in a pipeline file sets rows aside that do not fit")
		return
	}
	t := [][]terminal.Cell{}
	for _, r := range rows {
		t = append(t, []terminal.Cell{
			terminal.Text(r.Pipeline), terminal.Text(r.Upload), terminal.Text(humanize.Int(r.Rows)), terminal.Text(humanize.Bytes(r.Bytes)), terminal.Text(a.out.Ago(r.Time)),
		})
	}
	a.out.Table([]terminal.Column{
		terminal.Left("PIPELINE"), terminal.Left("UPLOAD"), terminal.Right("ROWS"), terminal.Right("SIZE"), terminal.Left("UPLOADED"),
	}, t)
}

// showSetAside prints the rows that were set aside of one upload.
func (a *app) showSetAside(ctx context.Context, pipeline, upload string) (err error) {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := c.SetAside(ctx, pipeline, upload)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	if a.json() {
		_, err := io.Copy(a.Out, answer)
		return err
	}
	d := json.NewDecoder(bufio.NewReader(answer))
	t := [][]terminal.Cell{}
	for {
		var r asideRow
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for i, f := range r.Faults {
			record, line, text := "", "", ""
			if i == 0 {
				record, line, text = strconv.FormatInt(r.Record, 10), humanize.Some(r.Line), r.Text
			}
			reason := f.Reason
			if f.Value != "" {
				reason = strconv.Quote(f.Value) + " " + reason
			}
			t = append(t, []terminal.Cell{terminal.Text(record), terminal.Text(line), terminal.Text(f.Column), terminal.Toned(terminal.Bad, reason), terminal.Text(text)})
		}
	}
	a.out.Table([]terminal.Column{
		terminal.Right("RECORD"), terminal.Right("LINE"), terminal.Left("COLUMN"), terminal.Left("WHAT IS WRONG"), terminal.Rest("TEXT"),
	}, t)
	return nil
}
