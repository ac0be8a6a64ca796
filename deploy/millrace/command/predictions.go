package command

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/shared/humanize"
)

// maxShown bounds the rows that a terminal shows.
const maxShown = 50

// null is shown where the model gave no number.
const null = "null"

// show prints a table: all rows, or on a terminal the first ones.
func (p *predicting) show() {
	columns := []terminal.Column{terminal.Right("ROW"), terminal.Left("PREDICTION")}
	for _, class := range p.classes {
		columns = append(columns, terminal.Right("P("+class+")"))
	}
	columns = append(columns, terminal.Left("ANSWERED BY"))
	shown := len(p.rows)
	if p.out.IsTerminal() {
		shown = min(maxShown, shown)
	}
	t := [][]terminal.Cell{}
	for i, r := range p.rows[:shown] {
		row := []terminal.Cell{terminal.Text(strconv.Itoa(i + 1)), terminal.Toned(terminal.Strong, cmp.Or(r.prediction(), null))}
		for _, class := range p.classes {
			share := null
			if p := r.Probabilities[class]; p != nil {
				share = humanize.Metric(*p)
			}
			row = append(row, terminal.Text(share))
		}
		t = append(t, append(row, terminal.Text(fmt.Sprintf("v%d, %s", r.Version, r.Route))))
	}
	p.out.Table(columns, t)
	if more := len(p.rows) - shown; more > 0 {
		p.err.Line(p.err.Styled(terminal.Faint, fmt.Sprintf("and %s more; -o csv has all", humanize.Int(more))))
	}
	p.err.Line(p.err.Styled(terminal.Faint, "logged as "+p.rows[0].Request+", rows from 0"))
}

// prediction returns the label or the value, "" where the model gave none.
func (r predictedRow) prediction() string {
	switch {
	case r.Value != nil:
		return string(*r.Value)
	case r.Label != nil:
		return fmt.Sprint(r.Label)
	}
	return ""
}

// writeLines writes a JSON object for each row.
func (p *predicting) writeLines() error {
	e := json.NewEncoder(p.Out)
	e.SetEscapeHTML(false)
	for _, r := range p.rows {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// writeCSV writes a line for each row: what is predicted, the probability of each
// class, and the key of the prediction log. What the model gave no number for is
// empty.
func (p *predicting) writeCSV() error {
	w := csv.NewWriter(p.Out)
	header := []string{"prediction"}
	for _, class := range p.classes {
		header = append(header, "probability_"+class)
	}
	if err := w.Write(append(header, "version", "route", "request_id", "row")); err != nil {
		return err
	}
	for _, r := range p.rows {
		line := []string{r.prediction()}
		for _, class := range p.classes {
			text := ""
			if share := r.Probabilities[class]; share != nil {
				text = strconv.FormatFloat(*share, 'g', -1, 64)
			}
			line = append(line, text)
		}
		if err := w.Write(append(line, strconv.Itoa(r.Version), r.Route, r.Request, strconv.Itoa(r.Row))); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
