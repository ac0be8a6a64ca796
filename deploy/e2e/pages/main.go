// Command pages writes the parts of the repository's pages that follow from the
// code: the reference of settings (deploy/settings.md) and the table of events
// in ARCHITECTURE.md. Its tests check what people write by hand: every link of
// a page and every Go file that it names exist.
//
//	go generate millrace.dev/deploy/e2e/pages
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:generate go run . ../../..

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pages ROOT")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pages: error:", err)
		os.Exit(1)
	}
}

// run writes everything in the repository at root.
func run(root string) error {
	settings, err := settingsPage(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "deploy", "settings.md"), []byte(settings), 0o644); err != nil {
		return err
	}
	table, err := eventTable(root)
	if err != nil {
		return err
	}
	return between(filepath.Join(root, "ARCHITECTURE.md"), "events", table)
}

// between replaces the text of a page between the comments <!-- NAME: begin -->
// and <!-- NAME: end -->.
func between(file, name, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", name), fmt.Sprintf("<!-- %s: end -->", name)
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, ends := strings.Cut(rest, end)
	if !ok || !ends {
		return fmt.Errorf("%s has no text between %q and %q", file, strings.TrimSpace(begin), end)
	}
	return os.WriteFile(file, []byte(head+begin+text+end+tail), 0o644)
}
