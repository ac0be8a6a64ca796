package source_test

import (
	"slices"
	"strings"
	"testing"

	"millrace.dev/shared/table/source"
)

// TestNestedJSON keeps arrays and objects as their JSON text in columns of text,
// in lines and in an array, with a contract and without.
func TestNestedJSON(t *testing.T) {
	t.Parallel()
	rows := []string{`{"n": 1, "tags": ["a",  "ü\n"]}`, `{"n": 2, "tags": {"k": 1.10, "l": [null, {}]}}`, `{"n": 3, "tags": "plain"}`, `{"n": 4, "tags": []}`, `{"n": 5, "tags": null}`}
	want := []string{"n int, tags string", `1 ["a",  "ü\n"]`, `2 {"k": 1.10, "l": [null, {}]}`, "3 plain", "4 []", "5 -"}
	for name, content := range map[string]string{
		"a.jsonl": strings.Join(rows, "\n"),
		"a.json":  "[" + strings.Join(rows, ",\n") + "]",
	} {
		for what, opts := range map[string]source.Options{"infers": {}, "contract": {Columns: columnsOf("n int, tags string")}} {
			got, err := readBytes(t, name, []byte(content), opts, source.Limits{})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %q, %v", name, what, got, err)
			}
		}
	}
	_, err := readBytes(t, "a.jsonl", []byte(rows[0]), source.Options{Columns: columnsOf("n int, tags float")}, source.Limits{})
	if err == nil || !strings.Contains(err.Error(), "is an array, which only a string column takes, as its JSON text") {
		t.Error(err)
	}
}
