package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func pipelineSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("pipeline.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plainYAML is a YAML document as the schema's validator wants it.
func plainYAML(t *testing.T, source []byte) any {
	t.Helper()
	n, problems := parseYAML("", source)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	text, err := json.Marshal(n.plain())
	if err != nil {
		t.Fatal(err)
	}
	x, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	t.Parallel()
	schema := pipelineSchema(t)
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/valid/*.json", "examples/*/pipeline.yaml"} {
		eachFile(t, pattern, func(t *testing.T, _ string, source []byte) {
			if err := schema.Validate(plainYAML(t, source)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemaRefusesWrongFields(t *testing.T) {
	t.Parallel()
	schema := pipelineSchema(t)
	for _, file := range []string{"fields", "no-model", "values"} {
		source, err := os.ReadFile("testdata/invalid/" + file + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		n, _ := parseYAML("", source)
		text, err := json.Marshal(n.plain())
		if err != nil {
			t.Fatal(err)
		}
		x, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(x) == nil {
			t.Errorf("the schema accepts testdata/invalid/%s.yaml", file)
		}
	}
}

// TestSchemaAgreesWithLoad puts nonsense into every field that the schema
// gives a list of values, and compares the list with what Load allows.
func TestSchemaAgreesWithLoad(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("pipeline.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	defs, _ := root["$defs"].(map[string]any)
	checked := 0
	// walk visits a schema; wrap puts a value to where the schema holds.
	var walk func(schema map[string]any, path string, wrap func(any) any)
	walk = func(schema map[string]any, path string, wrap func(any) any) {
		if ref, ok := schema["$ref"].(string); ok {
			schema, _ = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		if enum, ok := schema["enum"].([]any); ok {
			checked++
			document, err := json.Marshal(wrap("nonsense"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("x", document)
			problems, _ := errors.AsType[Problems](err)
			i := slices.IndexFunc(problems, func(p Problem) bool { return p.Field == path })
			if i < 0 {
				t.Errorf("Parse accepts nonsense at %s: %v", path, err)
				return
			}
			if want, got := fmt.Sprint(enum), fmt.Sprint(problems[i].Allowed); want != got {
				t.Errorf("%s: the schema has %s, Load allows %s", path, want, got)
			}
		}
		if items, ok := schema["items"].(map[string]any); ok {
			walk(items, path+"[0]", func(v any) any { return wrap([]any{v}) })
		}
		if more, ok := schema["additionalProperties"].(map[string]any); ok {
			walk(more, path+".k", func(v any) any { return wrap(map[string]any{"k": v}) })
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, sub := range properties {
			walk(sub.(map[string]any), strings.TrimPrefix(path+"."+name, "."), func(v any) any { return wrap(map[string]any{name: v}) })
		}
	}
	walk(root, "", func(v any) any { return v })
	if checked < 15 {
		t.Errorf("only %d fields with a list of values", checked)
	}
}

// An editor offers the examples, and the reference shows them.
func TestSchemaTakesItsExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("pipeline.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type properties map[string]struct {
		Examples []any `json:"examples"`
	}
	var schema struct {
		Defs map[string]struct {
			Properties properties `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, def := range schema.Defs {
		for field, property := range def.Properties {
			if len(property.Examples) == 0 {
				continue
			}
			s, err := jsonschema.NewCompiler().Compile("pipeline.schema.json#/$defs/" + name + "/properties/" + field)
			if err != nil {
				t.Fatal(err)
			}
			for _, example := range property.Examples {
				seen++
				if err := s.Validate(example); err != nil {
					t.Errorf("the example of %s.%s: %v", name, field, err)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d examples were checked; every field has one", seen)
	}
}
