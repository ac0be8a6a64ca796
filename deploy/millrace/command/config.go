package command

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/config"
	"millrace.dev/deploy/millrace/terminal"
)

// checked is what is known of one pipeline file, as -o json prints it.
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
and tables. Every mistake is told at once, with its place and what may stand
there; then the exit code is 1.`,
		Example: "  millrace validate-config config/examples/*/pipeline.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.validateConfig(args) },
	}
}

func (a *app) validateConfig(files []string) error {
	all, bad := []checked{}, 0
	for _, file := range files {
		c := checkConfig(file)
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
		return fail(Failed, "%d of %d pipeline %s cannot be used", bad, len(files), plural(len(files), "file"))
	}
	return nil
}

func checkConfig(file string) checked {
	l, err := config.Load(file)
	if err == nil {
		return checked{File: l.File, OK: true, Pipeline: l.Pipeline.Name(), Digest: l.Digest, Commit: l.Commit}
	}
	c := checked{File: file}
	var problems config.Problems
	if !errors.As(err, &problems) {
		problems = config.Problems{{File: file, Message: reasonOf(err, file)}}
	}
	for _, p := range problems {
		c.Problems = append(c.Problems, problem(p))
	}
	return c
}

// reasonOf is an error without the file's name, which stands before it.
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
		Short: "The version of this command",
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if a.json() {
				return a.print(v)
			}
			a.out.Printf("millrace %s (%s, %s/%s)", v.Version, v.Go, v.OS, v.Arch)
			return nil
		},
	}
}
