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
	var b bytes.Buffer
	s := terminal.New(&b).At(now)
	s.IndentedTable("  ", []terminal.Column{terminal.Left("NAME"), terminal.Right("ROWS"), terminal.Left("EMPTY"), terminal.Rest("WHY")}, [][]terminal.Cell{
		{terminal.Text("flights"), terminal.Text(terminal.Number(336776)), terminal.Text(""), terminal.Text("so")},
		{terminal.Toned(terminal.Bad, "größer ✗"), terminal.Text("7"), terminal.Text(""), terminal.Text("a line\nand \x1b[31manother\x07")},
		{terminal.Text("日本"), terminal.Text(""), terminal.Text(""), terminal.Text(strings.Repeat("long ", 40))},
	})
	s.Table([]terminal.Column{terminal.Left(""), terminal.Left("")}, [][]terminal.Cell{{terminal.Text("no"), terminal.Text("head")}})
	golden(t, "table.txt", b.String())
}

func TestTree(t *testing.T) {
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
	s := terminal.New(&bytes.Buffer{}).At(now)
	for got, want := range map[string]string{
		terminal.Number(0): "0", terminal.Number(999): "999", terminal.Number(1000): "1,000", terminal.Number(-1234567): "-1,234,567",
		terminal.Some(0): "", terminal.Count(1, "row"): "1 row", terminal.Count(2000, "row"): "2,000 rows",
		terminal.Float(0.72094): "0.7209", terminal.Float(1234567.2): "1,234,567", terminal.Float(12): "12",
		terminal.Bytes(int64(999)): "999 B", terminal.Bytes(int64(1000)): "1.0 kB", terminal.Bytes(int64(123456)): "123 kB",
		terminal.Bytes(int64(4_200_000)): "4.2 MB", terminal.Bytes(int64(999_600)): "1.0 MB",
		terminal.Duration(400 * time.Millisecond): "0.4 s", terminal.Duration(12400 * time.Millisecond): "12 s",
		terminal.Duration(200 * time.Second): "3m 20s", terminal.Duration(125 * time.Minute): "2h 05m", terminal.Duration(72 * time.Hour): "3 days",
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
	var b bytes.Buffer
	s := terminal.New(&b)
	s.Progress("working")
	s.Done()
	if b.Len() != 0 || s.IsTerminal() {
		t.Errorf("wrote %q to what is no terminal", b.String())
	}
}
