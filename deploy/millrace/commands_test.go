package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"millrace.dev/deploy/millrace/command"
)

//go:generate go test -count=1 -run ^TestCommandsPage$ . -update

var update = flag.Bool("update", false, "write commands.md")

// commands.md is the reference of every command and flag.
func TestCommandsPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# millrace: every command and flag\n\n<!-- Written by go generate from the commands themselves. -->\n\n" +
		"[README.md](README.md) tells how they are used, [../settings.md](../settings.md) has the environment variables.\n" +
		"Every command takes `-h`, `--help`; all but `up`, `demo`, `deploy`, `init`, `validate-config` and `check` ask a running system.\n")
	describe(&b, newRoot(command.Options{}))
	if *update {
		if err := os.WriteFile("commands.md", b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("commands.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, b.Bytes()) {
		t.Error("commands.md is old: run make generate")
	}
}

// describe writes the command and those below it.
func describe(b *bytes.Buffer, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	if c.HasParent() {
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n    %s\n", c.CommandPath(), escaped(text), c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(b, "\nFor example:\n\n")
			for line := range strings.Lines(c.Example + "\n") {
				fmt.Fprintf(b, "    %s\n", strings.TrimSpace(line))
			}
		}
	}
	var flags bytes.Buffer
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		preset := f.DefValue
		if preset == "[]" {
			preset = ""
		}
		fmt.Fprintf(&flags, "| %s | %s | %s | %s |\n", name, kinds(f.Value.Type()), preset, escaped(f.Usage))
	})
	if flags.Len() > 0 {
		fmt.Fprintf(b, "\n| flag | type | default | |\n|---|---|---|---|\n%s", flags.String())
	}
	for _, sub := range c.Commands() {
		describe(b, sub)
	}
}

// kinds is what people call a flag's type.
func kinds(name string) string {
	switch name {
	case "string":
		return "string"
	case "bool":
		return ""
	case "stringArray", "stringSlice":
		return "string, repeated"
	case "int", "int64", "uint64", "float64":
		return "number"
	}
	return name
}

// escaped keeps Markdown from reading signs in a text.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(text)
}
