package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newProfile() *cobra.Command {
	var s selection
	var partition string
	var columns []string
	c := &cobra.Command{
		Use:   "profile PIPELINE",
		Short: "Show what the training data holds, beside the snapshot before",
		Long: `Show the profile of a pipeline's dataset: of each column the type, missing and
distinct values, the least, middle and greatest value and the distribution.
What differs in the snapshot before is shown beside it.

With --partition it is the profile of one upload, beside the snapshot that it
joined. With --column every figure of the column is shown: quantiles, the most
frequent values and a histogram.`,
		Example: `  millrace profile flights
  millrace profile flights --partition flights/2013-05.parquet
  millrace profile flights --column dep_delay --column carrier -o json`,
	}
	s.flags(c, true)
	c.Args = cobra.ExactArgs(1)
	c.Flags().StringVar(&partition, "partition", "", "only this partition: the key of its upload, or the beginning of its digest")
	c.Flags().StringArrayVar(&columns, "column", nil, "every figure of this column; may be repeated")
	c.RunE = func(c *cobra.Command, args []string) error {
		query, err := s.query(time.Now())
		if err != nil {
			return err
		}
		if partition != "" {
			query.Set("partition", partition)
		}
		query["column"] = columns
		return a.profile(c, args[0], query)
	}
	return c
}

func (a *app) profile(c *cobra.Command, pipeline string, query url.Values) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	body, err := cl.JSON(c.Context(), query, "api/pipelines", pipeline, "profile")
	if err != nil {
		return err
	}
	if a.json() {
		return a.print(body)
	}
	var p api.Profile
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // 64-bit integers are shown exactly
	if err := d.Decode(&p); err != nil {
		return &client.Error{Text: fmt.Sprintf("the server's answer cannot be decoded: %v", err), Hint: "check that it has the version of this command: millrace version, millrace status"}
	}
	a.showDataset(p, len(query["column"]) > 0)
	return nil
}

// showDataset prints a profile: a line for each column, or every figure of each.
func (a *app) showDataset(p api.Profile, whole bool) {
	what := "  dataset, snapshot " + terminal.Short(p.Snapshot)
	if p.Partition != "" {
		what = "  " + p.Partition
	}
	a.out.Line(a.out.Styled(terminal.Strong, p.Pipeline), a.out.Styled(terminal.Plain, what), a.out.Styled(terminal.Faint, size(p)+", "+a.out.Ago(p.Created)))
	before := map[string]*api.ProfileColumn{}
	if p.Before != nil {
		a.out.Line(a.out.Styled(terminal.Faint, "before: snapshot "+terminal.Short(p.Before.Snapshot)+size(*p.Before)+", "+a.out.Ago(p.Before.Created)))
		for i := range p.Before.Columns {
			before[p.Before.Columns[i].Name] = &p.Before.Columns[i]
		}
	}
	a.out.Line()
	if whole {
		for i := range p.Columns {
			a.showColumn(&p.Columns[i], before[p.Columns[i].Name])
		}
		return
	}
	rows := [][]terminal.Cell{}
	for i := range p.Columns {
		c := &p.Columns[i]
		row := []terminal.Cell{
			terminal.Text(c.Name), terminal.Text(c.Type), terminal.Text(missing(c)), terminal.Text(""), terminal.Text(distinct(c)),
			terminal.Text(bound(c.Min)), terminal.Text(middle(c)), terminal.Text(""), terminal.Text(bound(c.Max)), terminal.Text(distribution(c)),
		}
		switch b := before[c.Name]; {
		case b != nil:
			row[3], row[7] = changed(missing(c), missing(b)), changed(middle(c), middle(b))
		case p.Before != nil:
			row[3] = terminal.Toned(terminal.Warn, "no column")
		}
		rows = append(rows, row)
	}
	a.out.Table([]terminal.Column{
		terminal.Left("COLUMN"), terminal.Left("TYPE"), terminal.Right("MISSING"), terminal.Right("BEFORE"), terminal.Right("DISTINCT"), terminal.Left("MIN"),
		terminal.Left("MEDIAN"), terminal.Left("BEFORE"), terminal.Left("MAX"), terminal.Rest("DISTRIBUTION"),
	}, rows)
}

func size(p api.Profile) string {
	text := "  " + humanize.Count(p.Rows, "row")
	if p.Partitions > 0 {
		text += " in " + humanize.Count(p.Partitions, "partition")
	}
	return text
}

// changed shows what was before, unless it is the same now.
func changed(now, before string) terminal.Cell {
	if now == before {
		return terminal.Text("")
	}
	return terminal.Toned(terminal.Faint, before)
}

func missing(c *api.ProfileColumn) string {
	if c.Nulls == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", humanize.Int(c.Nulls), share(c.Nulls, c.Count+c.Nulls))
}

// distinct shows how many values there are, about so many if that is an estimate.
func distinct(c *api.ProfileColumn) string {
	if c.Exact {
		return humanize.Int(c.Distinct)
	}
	return "~" + humanize.Int(c.Distinct)
}

// share shows a part of a whole in percent.
func share(part, of int64) string {
	if of == 0 {
		return ""
	}
	return humanize.Percent(float64(part) / float64(of))
}

func middle(c *api.ProfileColumn) string {
	for _, q := range c.Quantiles {
		if q.Share == 0.5 {
			return point(q.Value)
		}
	}
	return ""
}

// point shows a quantile or the bound of a bin, a number with five digits.
func point(v any) string {
	n, ok := v.(json.Number)
	if !ok {
		return bound(v)
	}
	if f, err := n.Float64(); err == nil {
		return humanize.Number(f)
	}
	return n.String()
}

// distribution draws a histogram in one line, or names the most frequent values.
func distribution(c *api.ProfileColumn) string {
	if c.Histogram != nil {
		return terminal.Sparkline(counts(c))
	}
	const most = 3
	var parts []string
	for _, t := range c.Top[:min(most, len(c.Top))] {
		parts = append(parts, fmt.Sprintf("%s %s", bound(t.Value), share(t.Count, c.Count)))
	}
	if len(c.Top) > most {
		parts = append(parts, "...")
	}
	return strings.Join(parts, ", ")
}

func counts(c *api.ProfileColumn) []int64 {
	out := make([]int64, len(c.Histogram))
	for i, b := range c.Histogram {
		out[i] = b.Count
	}
	return out
}

// showColumn prints every figure of a column, beside those before.
func (a *app) showColumn(c, before *api.ProfileColumn) {
	exact := ""
	if !c.Exact {
		exact = ", with estimates: it has more than 100,000 distinct values"
	}
	a.out.Line(a.out.Styled(terminal.Strong, c.Name), a.out.Styled(terminal.Faint, "  "+c.Type+exact))
	was := figures(before)
	rows := [][]terminal.Cell{}
	for i, f := range figures(c) {
		if f[1] == "" {
			continue
		}
		row := []terminal.Cell{terminal.Text(f[0]), terminal.Text(f[1]), terminal.Text("")}
		if was != nil {
			row[2] = changed(f[1], was[i][1])
		}
		rows = append(rows, row)
	}
	a.out.Line()
	a.out.IndentedTable("  ", []terminal.Column{terminal.Left("FIGURE"), terminal.Right("VALUE"), terminal.Right("BEFORE")}, rows)
	if len(c.Top) > 0 && (c.Histogram == nil || c.Distinct <= int64(len(c.Top))) {
		a.showTop(c, before)
	}
	if len(c.Histogram) > 1 {
		a.showHistogram(c, before)
	}
	a.out.Line()
}

// figures are the names and values of a column's figures; values that the type
// does not have are empty.
func figures(c *api.ProfileColumn) [][2]string {
	if c == nil {
		return nil
	}
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return humanize.Number(*v)
	}
	out := [][2]string{{"values", humanize.Int(c.Count)}, {"missing", missing(c)}, {"NaN or infinite", humanize.Some(c.NonFinite)}, {"distinct", distinct(c)}, {"min", bound(c.Min)}}
	for _, share := range []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99} {
		text := ""
		for _, q := range c.Quantiles {
			if q.Share == share {
				text = point(q.Value)
			}
		}
		out = append(out, [2]string{humanize.Percent(share), text})
	}
	return append(out, [2]string{"max", bound(c.Max)}, [2]string{"mean", number(c.Mean)}, [2]string{"std", number(c.Std)})
}

// showTop prints the most frequent values with their shares, and those before.
func (a *app) showTop(c, before *api.ProfileColumn) {
	was := map[string]int64{}
	if before != nil {
		for _, t := range before.Top {
			was[fmt.Sprint(t.Value)] = t.Count
		}
	}
	rows := [][]terminal.Cell{}
	for _, t := range c.Top {
		row := []terminal.Cell{
			terminal.Text(bound(t.Value)), terminal.Text(humanize.Int(t.Count)), terminal.Text(share(t.Count, c.Count)),
			terminal.Text(bar(t.Count, c.Top[0].Count)), terminal.Text(""),
		}
		if n, ok := was[fmt.Sprint(t.Value)]; ok {
			row[4] = changed(row[2].Text, share(n, before.Count))
		} else if before != nil && before.Distinct <= int64(len(before.Top)) {
			row[4] = terminal.Toned(terminal.Warn, "new")
		}
		rows = append(rows, row)
	}
	a.out.Line()
	a.out.IndentedTable("  ", []terminal.Column{
		terminal.Left("VALUE"), terminal.Right("COUNT"), terminal.Right("SHARE"), terminal.Left(""), terminal.Right("BEFORE"),
	}, rows)
}

// showHistogram prints a histogram with a line for each bin, and the shares before.
func (a *app) showHistogram(c, before *api.ProfileColumn) {
	var most int64
	for _, n := range counts(c) {
		most = max(most, n)
	}
	rows := [][]terminal.Cell{}
	for i, b := range c.Histogram {
		row := []terminal.Cell{
			terminal.Text(point(b.From)), terminal.Text(point(b.To)), terminal.Text(humanize.Int(b.Count)), terminal.Text(share(b.Count, c.Count)),
			terminal.Text(bar(b.Count, most)), terminal.Text(""),
		}
		if before != nil && i < len(before.Histogram) {
			row[5] = changed(row[3].Text, share(before.Histogram[i].Count, before.Count))
		}
		rows = append(rows, row)
	}
	a.out.Line()
	a.out.IndentedTable("  ", []terminal.Column{
		terminal.Right("ABOVE"), terminal.Right("UP TO"), terminal.Right("COUNT"), terminal.Right("SHARE"), terminal.Left(""), terminal.Right("BEFORE"),
	}, rows)
}

const barWidth = 30

func bar(n, most int64) string { return terminal.Bar(float64(n)/float64(most), barWidth) }
