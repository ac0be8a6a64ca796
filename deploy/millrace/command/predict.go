package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/rows"
	"millrace.dev/functions/ingest/contract"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// rowsPerRequest bounds a request; the server's limit is higher.
const rowsPerRequest = 1000

// predictedRow is the prediction for one row, as -o json prints it. Request
// and Row are the key by which later labels refer to it.
type predictedRow struct {
	Request       string              `json:"request_id"`
	Row           int                 `json:"row"`
	Version       int                 `json:"version"`
	Route         string              `json:"route"`
	Label         any                 `json:"label,omitempty"`
	Value         *value              `json:"value,omitempty"`         // of a regression
	Probabilities map[string]*float64 `json:"probabilities,omitempty"` // null where the model gave NaN
}

// value is what a regression answered, "" where the model gave NaN.
type value json.Number

// MarshalJSON writes null where there is no number.
func (v value) MarshalJSON() ([]byte, error) { return []byte(cmp.Or(string(v), null)), nil }

func (a *app) newPredict() *cobra.Command {
	var ask client.Ask
	var version string
	c := &cobra.Command{
		Use:   "predict PIPELINE [FILE]",
		Short: "Predict the rows of a file or of standard input",
		Long: `Predict the rows of any file that upload takes: CSV with a header, JSON (an
object, a list of objects, or one on each line) or Parquet, compressed or not.
Values are read by the contract of the running pipeline, as those of an upload
are. Rows have the columns as they are after the pipeline's prepare; columns that
are not features are ignored.

Each prediction has its key in the prediction log (request_id, row). Labels that
are uploaded later refer to it. -o csv and -o jsonl write a line for each row.`,
		Example: `  echo '{"carrier": "UA", "origin": "JFK", "dest": "LAX", "hour": 8, "distance": 2475}' | millrace predict flights
  millrace predict flights 2013-05.parquet -o csv > predictions.csv
  millrace predict flights may.csv --version v1`,
		Args:        cobra.RangeArgs(1, 2),
		Annotations: map[string]string{moreFormats: "csv jsonl"},
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
	f.StringVar(&version, "version", "", "use this version instead of the routed one")
	f.StringVar(&ask.Key, "key", "", "requests with the same key stay with the same version during a canary")
	f.StringVar(&ask.ID, "id", "", "request id in the prediction log; further requests get the suffixes -2, -3 ...")
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
	conf, err := c.Pipeline(ctx, pipeline)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusNotFound {
		err = nil // an address that has predictions and nothing else
	}
	if err != nil {
		return err
	}
	p := predicting{app: a, client: c, pipeline: pipeline, ask: ask, classes: m.Classes()}
	for row, err := range rows.Read(ctx, in, name, features(conf, m)) {
		if err != nil {
			if table.Unreadables(err) != nil {
				return fail(Failed, "%v", err) // it names the file
			}
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
	switch a.output {
	case "json":
		return a.print(p.rows)
	case "jsonl":
		return p.writeLines()
	case "csv":
		return p.writeCSV()
	}
	p.show()
	return nil
}

// features returns how the features of a model are read: by the contract, or by
// the model's input where the contract does not list them.
func features(p *config.Pipeline, m client.Model) *duck.PrepareInput {
	in := &duck.PrepareInput{}
	if p != nil {
		in = contract.Reading(p)
	}
	listed := in.Columns
	in.Columns, in.DropExtra = nil, true
	for _, t := range m.Inputs {
		column := source.Column{Name: t.Name, Rule: cell.Rule{Type: typeOf(t.Datatype), Nulls: in.Nulls}}
		if i := slices.IndexFunc(listed, func(c source.Column) bool { return c.Name == t.Name }); i >= 0 {
			column = listed[i]
		}
		in.Columns = append(in.Columns, column)
	}
	return in
}

// typeOf returns the type of a column that has a datatype of the Open Inference
// Protocol.
func typeOf(datatype string) table.Type {
	switch {
	case datatype == "BOOL":
		return table.Bool
	case strings.HasPrefix(datatype, "FP"):
		return table.Float
	case strings.HasPrefix(datatype, "INT"), strings.HasPrefix(datatype, "UINT"):
		return table.Int
	}
	return table.String
}

// predicting sends rows in requests and collects the answers.
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
	p.err.Progress(fmt.Sprintf("%s predicted", humanize.Count(len(p.rows), "row")))
	answer, err := p.client.Predict(ctx, p.pipeline, ask, p.batch)
	p.err.Done()
	if err != nil {
		if refused, ok := errors.AsType[*client.Error](err); ok && len(p.rows) > 0 {
			refused.Text = fmt.Sprintf("after row %d: %s", len(p.rows), refused.Text)
		}
		return err
	}
	for i, r := range answer.Predictions {
		row := predictedRow{Request: answer.Request, Row: i, Version: answer.Version, Route: answer.Route, Label: r.Label}
		if r.Scalar {
			row.Value = new(value(r.Value))
		}
		if len(r.Probabilities) == len(p.classes) && len(p.classes) > 0 {
			row.Probabilities = map[string]*float64{}
			for k, class := range p.classes {
				row.Probabilities[class] = r.Probabilities[k]
			}
		}
		p.rows = append(p.rows, row)
	}
	p.batch = p.batch[:0]
	return nil
}
