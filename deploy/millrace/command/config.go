package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/functions/ingest/contract"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// checked is the result for one pipeline file, as -o json prints it.
type checked struct {
	File     string    `json:"file"`
	OK       bool      `json:"ok"`
	Pipeline string    `json:"pipeline,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Commit   string    `json:"commit,omitempty"`
	Problems []problem `json:"problems,omitempty"`
}

type problem struct {
	File    string   `json:"file"`
	Line    int      `json:"line,omitempty"`
	Column  int      `json:"column,omitempty"`
	Field   string   `json:"field,omitempty"`
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitempty"`
	Allowed []string `json:"allowed,omitempty"`
}

func (a *app) newValidateConfig() *cobra.Command {
	return &cobra.Command{
		Use:   "validate-config FILE...",
		Short: "Check pipeline files, without a system",
		Long: `Check pipeline files, or folders that hold a pipeline.yaml, with their prepare
and tables. All mistakes are reported at once, each with its position and the
allowed values; the exit code is then 1.`,
		Example: "  millrace validate-config config/examples/*/pipeline.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.validateConfig(cmd.Context(), args) },
	}
}

func (a *app) validateConfig(ctx context.Context, files []string) error {
	all, bad := []checked{}, 0
	for _, file := range files {
		c := checkConfig(ctx, file)
		if !c.OK {
			bad++
		}
		all = append(all, c)
		if !a.json() {
			a.showChecked(c)
		}
	}
	if a.json() {
		if err := a.print(all); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fail(Failed, "%d of %s cannot be used", bad, humanize.Count(len(files), "pipeline file"))
	}
	return nil
}

func checkConfig(ctx context.Context, file string) checked {
	l, err := config.Load(file)
	problems, ok := errors.AsType[config.Problems](err)
	if err != nil && !ok {
		problems = config.Problems{{File: file, Message: reasonOf(err, file)}}
	}
	if l != nil {
		problems = append(problems, l.MissingCode()...)
		problems = append(problems, checkSQL(ctx, l)...)
		problems.Sort()
	}
	if len(problems) == 0 {
		return checked{File: l.File, OK: true, Pipeline: l.Pipeline.Name(), Digest: l.Digest, Commit: l.Commit}
	}
	c := checked{File: file}
	for _, p := range problems {
		c.Problems = append(c.Problems, problem(p))
	}
	return c
}

// checkSQL reports all mistakes in the SQL of prepare and of checks that can be
// found without data.
func checkSQL(ctx context.Context, l *config.Loaded) config.Problems {
	var problems config.Problems
	lines := func(err error, add func(text string)) {
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				add(strings.TrimSpace(line))
			}
		}
	}
	schema := schemaOf(l.Pipeline)
	if l.Prepare != "" {
		in := contract.Reading(l.Pipeline)
		if schema == nil {
			in.Columns = nil
		}
		in.SQL, in.Tables = l.Prepare, l.Tables
		lines(duck.ValidatePrepare(ctx, in), func(text string) {
			problems = append(problems, config.Problem{File: filepath.Join(l.Dir, l.Pipeline.Spec.Data.Prepare), Message: text})
		})
	}
	for i, check := range l.Pipeline.Spec.Data.Checks {
		if check.SQL == "" {
			continue
		}
		lines(duck.ValidateExpr(ctx, check.SQL, schema), func(text string) {
			problems = append(problems, l.Problem(fmt.Sprintf("spec.data.checks[%d].sql", i), text))
		})
	}
	return problems
}

// schemaOf returns the columns of the contract; nil if the type of one is not
// known.
func schemaOf(p *config.Pipeline) table.Schema {
	var schema table.Schema
	for _, c := range p.Columns() {
		if c.Type == "" {
			return nil
		}
		schema = append(schema, table.Column{Name: c.Name, Type: table.Type(c.Type)})
	}
	return schema
}

// reasonOf returns an error's text without the file's name, which is printed
// before it.
func reasonOf(err error, file string) string {
	text := err.Error()
	if i := strings.LastIndex(text, file+": "); i >= 0 {
		return text[i+len(file)+2:]
	}
	return text
}

func (a *app) showChecked(c checked) {
	if c.OK {
		a.out.Line(a.out.Styled(terminal.Good, "ok   "), a.out.Styled(terminal.Plain, c.File), a.out.Styled(terminal.Faint, fmt.Sprintf("  %s, %s", c.Pipeline, terminal.Short(c.Digest))))
		return
	}
	for _, p := range c.Problems {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		}
		a.out.Line(a.out.Styled(terminal.Strong, place+": "), a.out.Styled(terminal.Bad, optional("", p.Field+strings.Repeat(": ", min(1, len(p.Field))))), a.out.Styled(terminal.Plain, p.Message))
		if len(p.Allowed) > 0 {
			a.out.Line(a.out.Styled(terminal.Faint, "     allowed: "+strings.Join(p.Allowed, ", ")))
		}
		if p.Hint != "" {
			a.out.Line(a.out.Styled(terminal.Warn, "     "+p.Hint))
		}
	}
}

func (a *app) newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version, commit and date of this command",
		RunE: func(*cobra.Command, []string) error {
			if a.json() {
				return a.print(a.Version)
			}
			a.out.Printf("millrace %s", a.Version)
			return nil
		},
	}
}
