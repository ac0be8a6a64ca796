package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/scaffold"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
)

// beginning is what init is asked for.
type beginning struct {
	folder, file         string
	label, task, trainer string
	noVenv               bool
}

func (a *app) newInit() *cobra.Command {
	b := beginning{}
	c := &cobra.Command{
		Use:   "init NAME FILE",
		Short: "Make the folder of a pipeline out of a data file",
		Long: `Read a file as upload would (CSV, JSON lines, Parquet, compressed or not) and
write the folder NAME: pipeline.yaml with the contract that the file keeps and a
comment on each line, train.py, requirements.txt and a README.md. Then make
NAME/.venv with what the trainer needs: with uv if it is there, else with python3
(PYTHON names another).

The label is the column that --label names. Without, it is a column called label,
target, y, class or the like, else the last one. The task follows from its values.
A folder that is not empty is left as it is.`,
		Example: `  millrace init churn customers.csv --label left
  millrace init prices houses.parquet --label price --trainer lightgbm`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			b.folder, b.file = args[0], args[1]
			return a.init(c.Context(), c, b)
		},
	}
	f := c.Flags()
	f.StringVar(&b.label, "label", "", "the column to predict")
	f.StringVar(&b.task, "task", "", "binary_classification, multiclass_classification or regression; follows from the label by default")
	f.StringVar(&b.trainer, "trainer", scaffold.Trainers[0].Name, "the library to train with: "+strings.Join(scaffold.TrainerNames(), ", "))
	f.BoolVar(&b.noVenv, "no-venv", false, "do not make the virtual environment")
	return c
}

// pipelineName matches the names of pipelines: DNS labels.
var pipelineName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (a *app) init(ctx context.Context, c *cobra.Command, b beginning) error {
	name := filepath.Base(filepath.Clean(b.folder))
	if !pipelineName.MatchString(name) {
		return usage(c, "%q is not the name of a pipeline: lower-case letters, digits and -, beginning with a letter", name)
	}
	trainer, ok := scaffold.TrainerOf(b.trainer)
	if !ok {
		return usage(c, "--trainer %s is not known; allowed: %s", b.trainer, strings.Join(scaffold.TrainerNames(), ", "))
	}
	switch b.task {
	case "", config.TaskBinary, config.TaskMulticlass, config.TaskRegression:
	default:
		return usage(c, "--task %s is not known; allowed: %s, %s, %s", b.task, config.TaskBinary, config.TaskMulticlass, config.TaskRegression)
	}
	if found, err := os.ReadDir(b.folder); err == nil && len(found) > 0 {
		return fail(Failed, "%s is there already and not empty: nothing was written", b.folder).try("choose another name, or remove the folder")
	}
	design, err := a.design(ctx, name, b, trainer)
	if err != nil {
		return err
	}
	if err := design.Write(b.folder); err != nil {
		return fail(Failed, "%v", err)
	}
	if written := checkConfig(ctx, b.folder); !written.OK {
		a.showChecked(written)
		return fail(Failed, "the pipeline file that was written has mistakes, which is a fault of this command").try("correct them in %s/pipeline.yaml", b.folder)
	}
	a.showDesign(b.folder, design)
	if !b.noVenv {
		a.err.Progress("making " + filepath.Join(b.folder, ".venv"))
		err := scaffold.Environment(ctx, b.folder, a.Err)
		a.err.Done()
		if err != nil {
			return fail(Failed, "the virtual environment could not be made: %v", err).try("by hand: cd %s && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt", b.folder)
		}
	}
	a.showNext(b, name)
	return nil
}

// design reads the file and decides what becomes of it.
func (a *app) design(ctx context.Context, name string, b beginning, trainer scaffold.Trainer) (*scaffold.Design, error) {
	dir, err := os.MkdirTemp("", "millrace-init-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	a.err.Progress("reading " + b.file)
	data, err := scaffold.Read(ctx, b.file, dir)
	a.err.Done()
	switch {
	case err != nil && strings.Contains(err.Error(), "of the header has no name"):
		return nil, fail(Failed, "%v", err).try("pandas writes the index without a name: df.to_csv(FILE, index=False)")
	case errors.Is(err, os.ErrNotExist):
		return nil, fail(Failed, "there is no file %s", b.file)
	case table.Unreadables(err) != nil:
		return nil, fail(Failed, "%v", err)
	case err != nil:
		return nil, err
	}
	design, err := scaffold.New(name, data, b.label, b.task, trainer)
	if err != nil {
		return nil, fail(Failed, "%v", err).try("name another column with --label, or the question with --task")
	}
	return design, nil
}

// showDesign says what was found in the file, and what was made of it.
func (a *app) showDesign(folder string, d *scaffold.Design) {
	p := d.Data.Profile
	a.out.Line(a.out.Styled(terminal.Good, "made "), a.out.Styled(terminal.Strong, folder), a.out.Styled(terminal.Plain, "  from "+humanize.Count(p.Rows, "row")+" and "+humanize.Count(len(p.Columns), "column")))
	label := d.Label + ", " + strings.ReplaceAll(d.Task, "_", " ")
	if d.Guessed {
		label += " (a guess: --label names another)"
	}
	a.out.Line("  label     ", label)
	a.out.Line("  features  ", listOf(d.Features))
	if d.Time != "" {
		a.out.Line("  time      ", d.Time)
	}
	for _, c := range d.Columns {
		if c.Out != "" {
			a.out.Line(a.out.Styled(terminal.Warn, "  left out  "), terminal.Clean(c.Name+": "+c.Out))
		}
	}
}

// listOf lists names, shortened.
func listOf(names []string) string {
	const most = 8
	if len(names) <= most {
		return terminal.Clean(strings.Join(names, ", "))
	}
	return terminal.Clean(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", len(names)-most)
}

// showNext says what to do with the folder.
func (a *app) showNext(b beginning, name string) {
	a.out.Line()
	a.out.Line("next:")
	for _, step := range [][2]string{
		{"read " + filepath.Join(b.folder, "pipeline.yaml"), "it says of each line what it is for"},
		{"millrace up --pipelines " + b.folder, "in a terminal of its own"},
		{fmt.Sprintf("millrace upload %s %s --wait", name, b.file), "checked, trained, judged, served"},
		{fmt.Sprintf("millrace predict %s %s", name, b.file), ""},
	} {
		a.out.Line("  "+step[0], a.out.Styled(terminal.Faint, optional("   # ", step[1])))
	}
}
