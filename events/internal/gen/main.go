// Command gen writes what others read of the catalogue: a JSON Schema for the
// data of each event type (schema/<type>.json, draft 2020-12) and one AsyncAPI
// 3 document (asyncapi.json). Both are made of the Go types: fields by
// reflection, descriptions from their comments.
//
//	go generate millrace.dev/events
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"millrace.dev/events"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen: error:", err)
		os.Exit(1)
	}
}

// run writes everything anew in the folder of package events.
func run(dir string) error {
	docs, err := readComments(dir)
	if err != nil {
		return err
	}
	schemas := filepath.Join(dir, "schema")
	if err := os.RemoveAll(schemas); err != nil { // a type that is gone leaves no schema behind
		return err
	}
	if err := os.Mkdir(schemas, 0o750); err != nil {
		return err
	}
	for _, t := range events.Catalogue() {
		text, err := indented(schemaOf(t, docs))
		if err != nil {
			return fmt.Errorf("schema of %s: %w", t.Name, err)
		}
		if err := os.WriteFile(filepath.Join(schemas, t.Name+".json"), text, 0o600); err != nil {
			return err
		}
	}
	document, err := asyncAPI(dir, docs)
	if err != nil {
		return err
	}
	text, err := indented(document)
	if err != nil {
		return fmt.Errorf("AsyncAPI document: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "asyncapi.json"), text, 0o600)
}

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
