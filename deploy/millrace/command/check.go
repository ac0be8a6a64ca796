package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/ingest"
	"millrace.dev/functions/ingest/contract"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// tried is what would come of one file, as -o json prints it.
type tried struct {
	File        string                `json:"file"`
	OK          bool                  `json:"ok"`
	Rows        int64                 `json:"rows"`
	Columns     []table.ColumnProfile `json:"columns,omitempty"`
	Problems    []events.Problem      `json:"problems,omitempty"`
	Differences []events.Problem      `json:"differences,omitempty"`
	// SetAside is how many rows would be set aside, Reasons why.
	SetAside int64            `json:"setAside,omitempty"`
	Reasons  []events.Problem `json:"reasons,omitempty"`

	// Superseded is how many rows of this and the files before a newer row with the
	// same data.key would supersede.
	Superseded int64 `json:"superseded,omitempty"`

	profile *table.Profile
	path    string // of the partition, until the next file is read
}

func (a *app) newCheck() *cobra.Command {
	var dataset bool
	c := &cobra.Command{
		Use:   "check PIPELINE_FOLDER FILE...",
		Short: "Show what would come of files, without a system",
		Long: `Read files as an upload would be read, by the pipeline file, its prepare and its
tables, and hold them against the contract: columns, number of rows, checks.
Nothing is uploaded or kept.

Of each file it shows the columns that come out with their types and missing
values, everything that is wrong, the rows that would be set aside under
data.quarantine with the reasons, and how it differs, column by column, from
the files given before it; rules about a whole dataset (keys that are unique across
it, data.key, rows that another upload has) hold for these files together. With --dataset it is compared with the dataset of a
running system too: number of rows, missing values, new categories, ranges. If
a file would be rejected, the exit code is 1.

In prepare, the relation dataset is empty. Keys are not compared with those of the
running system: only an upload is.`,
		Example: `  millrace check config/examples/flights 2013-05.parquet
  millrace check flights/pipeline.yaml may.csv june.csv -o json
  millrace check flights 2013-05.parquet --dataset`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.check(c.Context(), args[0], args[1:], dataset)
		},
	}
	c.Flags().BoolVar(&dataset, "dataset", false, "compare with the dataset of the running system too")
	a.remote(c)
	return c
}

func (a *app) check(ctx context.Context, pipeline string, files []string, dataset bool) error {
	l, err := config.Load(pipeline)
	if err != nil {
		return fail(Failed, "%v", err).try("see every mistake: millrace validate-config %s", pipeline)
	}
	dir, err := os.MkdirTemp("", "millrace-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all, bad := []tried{}, 0
	before := validate.Dataset{}
	beside := "the files before"
	if dataset {
		if before, err = a.dataset(ctx, l.Pipeline.Name()); err != nil {
			return err
		}
		beside = "the dataset of the running system, and the files before"
	}
	together, err := a.together(ctx, l.Pipeline, files, dataset, dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return fail(Failed, "%v", err) // which names the file
		}
		t, err := try(ctx, l, file, dir)
		if err != nil {
			return fail(Failed, "%s: %v", file, err)
		}
		if t.OK && together != nil {
			if err := t.across(ctx, together); err != nil {
				return fail(Failed, "%s: %v", file, err)
			}
		}
		if t.OK {
			problems, differences, err := before.Add(l.Pipeline, t.profile)
			if err != nil {
				return fail(Failed, "%s: %v", file, err)
			}
			t.Problems, t.Differences = problems, append(differences, t.Differences...)
			t.OK = len(problems) == 0
		}
		if !t.OK {
			bad++
		}
		all = append(all, t)
		if !a.json() {
			a.showTried(t, beside)
		}
	}
	if a.json() {
		if err := a.print(all); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fail(Failed, "%d of %s would be rejected", bad, humanize.Count(len(files), "file"))
	}
	return nil
}

// together returns what holds the files against each other, nil for a single one.
func (a *app) together(ctx context.Context, p *config.Pipeline, files []string, dataset bool, dir string) (*validate.Files, error) {
	if dataset && validate.HasKeys(p) {
		a.err.Line(a.err.Styled(terminal.Warn, "keys are not compared with the dataset: an upload that repeats one would be rejected, or supersede rows"))
	}
	if len(files) < 2 {
		return nil, nil
	}
	return validate.NewFiles(ctx, p, filepath.Join(dir, "files"))
}

// across holds the file against those before by the rules about a whole dataset.
func (t *tried) across(ctx context.Context, files *validate.Files) error {
	problems, told, superseded, err := files.Add(ctx, t.File, t.path, t.Rows)
	t.Problems, t.Differences, t.Superseded = problems, told, superseded
	t.OK = len(problems) == 0
	return err
}

// dataset returns the dataset of a pipeline in the running system; without any
// data, the reason is shown and nothing is compared.
func (a *app) dataset(ctx context.Context, pipeline string) (none validate.Dataset, err error) {
	cl, err := a.client()
	if err != nil {
		return none, err
	}
	stored, partitions, err := cl.Profile(ctx, pipeline)
	if e := (*client.Error)(nil); errors.As(err, &e) && e.Status == http.StatusNotFound {
		a.err.Line(a.err.Styled(terminal.Warn, "not compared with a dataset: "+e.Text))
		return none, nil
	}
	if err != nil {
		return none, err
	}
	profile := new(table.Profile)
	if err := profile.UnmarshalBinary(stored); err != nil {
		return none, &client.Error{Text: fmt.Sprintf("the server's profile cannot be decoded: %v", err), Hint: "check that it has the version of this command: millrace version, millrace status"}
	}
	return validate.DatasetOf(profile, partitions), nil
}

// try reads one file and holds it against the contract.
func try(ctx context.Context, l *config.Loaded, file, dir string) (tried, error) {
	t := tried{File: file}
	in := contract.Upload(l.Pipeline)
	in.SQL, in.Tables = l.Prepare, l.Tables
	path := filepath.Join(dir, "partition.parquet")
	aside := filepath.Join(dir, "aside.jsonl")
	in.SetAside = contract.SetAside(l.Pipeline, aside)
	defer os.Remove(aside)
	c, err := duck.ConvertApart(ctx, duck.Source{Path: file, Name: source.FolderName(file)}, in, path, duck.Limits{})
	if err != nil {
		if t.Problems = ingest.Problems(err); t.Problems != nil {
			err = nil
		}
		return t, err
	}
	if c.Aside != nil && c.Aside.Rows > 0 {
		t.SetAside, t.Reasons = c.Aside.Rows, ingest.Reasons(c.Aside, in.SetAside)
	}
	profile, problems, err := validate.Examine(ctx, path, dir, l.Pipeline)
	if err != nil {
		return t, err
	}
	t.path, t.profile, t.Problems, t.OK = path, profile, problems, len(problems) == 0
	t.Rows, t.Columns = profile.Rows, profile.Summary().Columns
	return t, nil
}

func (a *app) showTried(t tried, beside string) {
	word := a.out.Styled(terminal.Good, "ok")
	if !t.OK {
		word = a.out.Styled(terminal.Bad, "rejected")
	}
	size := ""
	if t.Columns != nil {
		size = fmt.Sprintf("  %s, %s", humanize.Count(int(t.Rows), "row"), humanize.Count(len(t.Columns), "column"))
	}
	a.out.Line(word, a.out.Styled(terminal.Strong, "  "+t.File), a.out.Styled(terminal.Faint, size))
	if t.Columns != nil {
		a.showProfile(t.Columns)
	}
	a.showProblems(t.Problems)
	if t.SetAside > 0 {
		a.out.Line()
		a.out.Line(a.out.Styled(terminal.Warn, fmt.Sprintf("  %s would be set aside", humanize.Count(t.SetAside, "row"))))
		a.showProblems(t.Reasons)
	}
	if t.Superseded > 0 {
		a.out.Line()
		a.out.Line(a.out.Styled(terminal.Faint, fmt.Sprintf("  %s of the files so far would be superseded by newer ones with the same data.key", humanize.Count(t.Superseded, "row"))))
	}
	if len(t.Differences) > 0 {
		a.out.Line()
		a.out.Line(a.out.Styled(terminal.Warn, "  differs from "+beside))
		a.showProblems(t.Differences)
	}
}

// showProfile prints the columns of a table with their types and what is in them.
func (a *app) showProfile(columns []table.ColumnProfile) {
	rows := [][]terminal.Cell{}
	for i := range columns {
		c := &columns[i]
		rows = append(rows, []terminal.Cell{
			terminal.Text(c.Name), terminal.Text(string(c.Type)), terminal.Text(nulls(c)), terminal.Text(strconv.FormatInt(c.Distinct, 10)),
			terminal.Text(bound(c.Min)), terminal.Text(bound(c.Max)),
		})
	}
	a.out.Line()
	a.out.IndentedTable("  ", []terminal.Column{
		terminal.Left("COLUMN"), terminal.Left("TYPE"), terminal.Right("MISSING"), terminal.Right("DISTINCT"), terminal.Left("MIN"), terminal.Left("MAX"),
	}, rows)
}

// nulls shows how many values of a column are missing.
func nulls(c *table.ColumnProfile) string {
	if c.Nulls == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%.3g %%)", c.Nulls, 100*c.NullShare())
}

// bound shows the least or the greatest value of a column, shortened.
func bound(v any) string {
	const most = 30
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	default:
		text := []rune(fmt.Sprint(v))
		if len(text) > most {
			return string(text[:most]) + "..."
		}
		return string(text)
	}
}
