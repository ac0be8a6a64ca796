// Command release prepares the source of a release: README.md tells the whole
// recipe, which release.sh follows.
//
//	release changelog VERSION            print the entry of VERSION in CHANGELOG.md
//	release modules VERSION TREE PROXY   make the modules in TREE require each other at VERSION, and
//	                                     write them to the folder PROXY as a Go module proxy has them
//	release tags VERSION TREE            print the tags of VERSION
package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("write: release changelog VERSION, release modules VERSION TREE PROXY, or release tags VERSION TREE")

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "changelog":
		page, err := os.ReadFile("CHANGELOG.md")
		if err != nil {
			return err
		}
		text, err := entry(string(page), args[1])
		if err != nil {
			return err
		}
		fmt.Print(text)
		return nil
	case len(args) == 4 && args[0] == "modules":
		return release(args[1], args[2], args[3], time.Now())
	case len(args) == 3 && args[0] == "tags":
		return printTags(args[1], args[2])
	}
	return errUsage
}

func printTags(version, tree string) error {
	modules, err := workspace(tree)
	if err != nil {
		return err
	}
	fmt.Println(version)
	for _, m := range modules {
		fmt.Println(m.dir + "/" + version)
	}
	return nil
}

// release rewrites the modules of a tree and writes them to the proxy, each
// after the modules that it requires, so that its go.sum has their digests.
func release(version, tree, proxy string, now time.Time) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	modules, err := workspace(tree)
	if err != nil {
		return err
	}
	if modules, err = inOrder(modules); err != nil {
		return err
	}
	sums := map[string][]string{} // by module path: its own lines of go.sum
	for _, m := range modules {
		if err := m.write(version, sums); err != nil {
			return fmt.Errorf("module %s: %w", m.path(), err)
		}
		if sums[m.path()], err = m.publish(version, proxy, now); err != nil {
			return fmt.Errorf("module %s: %w", m.path(), err)
		}
	}
	return nil
}
