package terminal_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/shared/humanize"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares what was shown with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

var now = time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)

func TestTable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := terminal.New(&b).At(now)
	s.IndentedTable("  ", []terminal.Column{terminal.Left("NAME"), terminal.Right("ROWS"), terminal.Left("EMPTY"), terminal.Rest("WHY")}, [][]terminal.Cell{
		{terminal.Text("flights"), terminal.Text(humanize.Int(336776)), terminal.Text(""), terminal.Text("so")},
		{terminal.Toned(terminal.Bad, "größer ✗"), terminal.Text("7"), terminal.Text(""), terminal.Text("a line\nand \x1b[31manother\x07")},
		{terminal.Text("日本"), terminal.Text(""), terminal.Text(""), terminal.Text(strings.Repeat("long ", 40))},
	})
	s.Table([]terminal.Column{terminal.Left(""), terminal.Left("")}, [][]terminal.Cell{{terminal.Text("no"), terminal.Text("head")}})
	golden(t, "table.txt", b.String())
}

func TestTree(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	leaf := func(s string) *terminal.Node { return &terminal.Node{Head: s} }
	terminal.New(&b).Tree(&terminal.Node{
		Head: "root", Below: []string{"said below"},
		Nodes: []*terminal.Node{
			{Head: "first", Below: []string{"✓ a gate"}, Nodes: []*terminal.Node{leaf("deep"), leaf("deeper")}},
			{Head: "last", Below: []string{"✗ another"}},
		},
	})
	golden(t, "tree.txt", b.String())
}

func TestWords(t *testing.T) {
	t.Parallel()
	s := terminal.New(&bytes.Buffer{}).At(now)
	for got, want := range map[string]string{
		s.Ago(time.Time{}): "", s.Ago(now.Add(-time.Second)): "just now", s.Ago(now.Add(-30 * time.Second)): "30s ago",
		s.Ago(now.Add(-3 * time.Minute)): "3m ago", s.Ago(now.Add(-25 * time.Hour)): "1d ago",
		terminal.Version(2): "v2", terminal.Version(0): "",
		terminal.Clean("a\tb\x1b[2Jc\u202e"): "a bc",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := terminal.New(&b)
	s.Progress("working")
	s.Done()
	if b.Len() != 0 || s.IsTerminal() {
		t.Errorf("wrote %q to what is not a terminal", b.String())
	}
}
