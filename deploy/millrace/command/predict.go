package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/rows"
	"millrace.dev/deploy/millrace/terminal"
)

// rowsPerRequest bounds a request; the server's own bound is higher.
const rowsPerRequest = 1000

// predictedRow is the prediction for one row, as -o json prints it. Request
// and row are the key of the labels that may come for it.
type predictedRow struct {
	Request       string             `json:"request_id"`
	Row           int                `json:"row"`
	Version       int                `json:"version"`
	Route         string             `json:"route"`
	Label         any                `json:"label,omitempty"`
	Value         json.Number        `json:"value,omitempty"`
	Probabilities map[string]float64 `json:"probabilities,omitempty"`
}

func (a *app) newPredict() *cobra.Command {
	var ask client.Ask
	var version string
	c := &cobra.Command{
		Use:   "predict PIPELINE [FILE]",
		Short: "Predict the rows of a file, or of standard input",
		Long: `Predict rows: CSV with a header, JSON (an object, a list of them, or one a line)
or Parquet, compressed or not. Rows carry the columns as they are after the
pipeline's prepare; columns of the contract that are no features are ignored.

Each row is answered with its key in the prediction log (request_id, row), to
which labels can be brought later.`,
		Example: `  echo '{"carrier": "UA", "origin": "JFK", "dest": "LAX", "hour": 8, "distance": 2475}' | millrace predict flights
  millrace predict flights 2013-05.parquet -o json
  millrace predict flights may.csv --version v1`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if version != "" {
				var err error
				if ask.Version, err = parseVersion(version); err != nil {
					return err
				}
			}
			in, name := c.InOrStdin(), "standard input"
			if len(args) == 2 && args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return fail(Failed, "%v", err)
				}
				defer f.Close()
				in, name = f, args[1]
			}
			return a.predict(c.Context(), args[0], name, in, ask)
		},
	}
	f := c.Flags()
	f.StringVar(&version, "version", "", "ask this version, rather than the route's")
	f.StringVar(&ask.Key, "key", "", "requests with the same key stay with the same version during a canary")
	f.StringVar(&ask.ID, "id", "", "the request's id in the prediction log; of several requests, -2, -3 ... follow")
	return c
}

func (a *app) predict(ctx context.Context, pipeline, name string, in io.Reader, ask client.Ask) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	m, err := c.Model(ctx, pipeline, ask.Version)
	if err != nil {
		return err
	}
	types := map[string]string{}
	for _, t := range m.Inputs {
		types[t.Name] = t.Datatype
	}
	p := predicting{app: a, client: c, pipeline: pipeline, ask: ask, classes: m.Classes()}
	for row, err := range rows.Read(ctx, in, types) {
		if err != nil {
			return fail(Failed, "%s: %v", name, err)
		}
		if p.batch = append(p.batch, row); len(p.batch) == rowsPerRequest {
			if err := p.send(ctx); err != nil {
				return err
			}
		}
	}
	if err := p.send(ctx); err != nil {
		return err
	}
	if len(p.rows) == 0 {
		return fail(Failed, "%s has no rows", name).try("give CSV with a header, JSON objects by column, or Parquet")
	}
	if a.json() {
		return a.print(p.rows)
	}
	p.show()
	return nil
}

// predicting sends rows in requests and gathers the answers.
type predicting struct {
	*app
	client   *client.Client
	pipeline string
	ask      client.Ask
	classes  []string
	batch    []json.RawMessage
	requests int
	rows     []predictedRow
}

func (p *predicting) send(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	p.requests++
	ask := p.ask
	if ask.ID != "" && p.requests > 1 {
		ask.ID += "-" + strconv.Itoa(p.requests)
	}
	p.err.Progress(fmt.Sprintf("%s predicted", terminal.Count(len(p.rows), "row")))
	answer, err := p.client.Predict(ctx, p.pipeline, ask, p.batch)
	p.err.Done()
	if err != nil {
		var refused *client.Error
		if errors.As(err, &refused) && len(p.rows) > 0 {
			refused.Text = fmt.Sprintf("behind row %d: %s", len(p.rows), refused.Text)
		}
		return err
	}
	for i, r := range answer.Predictions {
		row := predictedRow{Request: answer.Request, Row: i, Version: answer.Version, Route: answer.Route, Label: r.Label, Value: r.Value}
		if len(r.Probabilities) == len(p.classes) && len(p.classes) > 0 {
			row.Probabilities = map[string]float64{}
			for k, class := range p.classes {
				row.Probabilities[class] = r.Probabilities[k]
			}
		}
		p.rows = append(p.rows, row)
	}
	p.batch = p.batch[:0]
	return nil
}

// maxShown bounds the rows of the table; -o json has all.
const maxShown = 50

func (p *predicting) show() {
	columns := []terminal.Column{terminal.Right("ROW"), terminal.Left("PREDICTION")}
	for _, class := range p.classes {
		columns = append(columns, terminal.Right("P("+class+")"))
	}
	columns = append(columns, terminal.Left("ANSWERED BY"))
	t := [][]terminal.Cell{}
	for i, r := range p.rows[:min(maxShown, len(p.rows))] {
		text := r.Value.String()
		if r.Label != nil {
			text = fmt.Sprint(r.Label)
		}
		row := []terminal.Cell{terminal.Text(strconv.Itoa(i + 1)), terminal.Toned(terminal.Strong, text)}
		for _, class := range p.classes {
			row = append(row, terminal.Text(strconv.FormatFloat(r.Probabilities[class], 'f', 4, 64)))
		}
		t = append(t, append(row, terminal.Text(fmt.Sprintf("v%d, %s", r.Version, r.Route))))
	}
	p.out.Table(columns, t)
	if more := len(p.rows) - maxShown; more > 0 {
		p.err.Line(p.err.Styled(terminal.Faint, fmt.Sprintf("and %s more; -o json has all", terminal.Number(more))))
	}
	p.err.Line(p.err.Styled(terminal.Faint, "logged as "+p.rows[0].Request+", rows from 0"))
}
