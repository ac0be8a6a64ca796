package agree_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"millrace.dev/events"
	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/functions/evaluate"
	"millrace.dev/functions/gateway"
	"millrace.dev/functions/inference"
	"millrace.dev/functions/ingest"
	"millrace.dev/functions/promote"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/function"
	"millrace.dev/triggers"
)

// A function handles the types that its trigger lets through, and no others.
func TestTriggersAndHandlers(t *testing.T) {
	t.Parallel()
	functions := map[string]function.Function{
		driftcheck.Name:    new(driftcheck.F),
		evaluate.Name:      new(evaluate.F),
		gateway.Name:       new(gateway.F),
		inference.Name:     new(inference.F),
		ingest.Name:        new(ingest.F),
		promote.Name:       new(promote.F),
		trainlauncher.Name: new(trainlauncher.F),
		validate.Name:      new(validate.F),
	}
	all, _, err := triggers.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		f, ok := functions[tr.Function]
		if !ok {
			t.Errorf("trigger %s has the target %s, which is not a function", tr.Name, tr.Function)
			continue
		}
		delete(functions, tr.Function)
		m := function.NewMux(tr.Function)
		f.Register(m)
		if !slices.Equal(m.Types(), tr.Types) {
			t.Errorf("%s handles %v\nits trigger lets through %v", tr.Function, m.Types(), tr.Types)
		}
	}
	for name, f := range functions {
		m := function.NewMux(name)
		f.Register(m)
		if len(m.Types()) > 0 {
			t.Errorf("%s handles %v and has no trigger", name, m.Types())
		}
	}
}

// The golden events satisfy the schemas that are made of the types, and what
// has another type in a field does not.
func TestSchemasAndGoldenEvents(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "..", "events")
	for _, typ := range events.Catalogue() {
		t.Run(typ.Name, func(t *testing.T) {
			schema, err := jsonschema.NewCompiler().Compile(filepath.Join(dir, "schema", typ.Name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"simple.json", "full.json", "unknown.json"} {
				if err := schema.Validate(value(t, filepath.Join(dir, "testdata", typ.Name, file)).(map[string]any)["data"]); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
			for i, refused := range value(t, filepath.Join(dir, "testdata", typ.Name, "refused.json")).([]any) {
				data := refused.(map[string]any)["data"]
				text, err := json.Marshal(data)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := events.DecodeData(events.Envelope{Header: events.Header{Type: typ.Name}, Data: text}); err == nil {
					continue // its mistake is one that Validate finds, not its shape
				}
				if schema.Validate(data) == nil {
					t.Errorf("refused.json[%d] cannot be decoded, and the schema has nothing against it: %s", i, text)
				}
			}
		})
	}
}

func value(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
