// Schemagen generates two files from the types of package config: the JSON Schema
// of pipeline files for editors (pipeline.schema.json) and the reference for
// people (reference.md). Rules come from tags, descriptions from comments. go
// generate runs it in the folder of the package.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"millrace.dev/config"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run() error {
	comments, err := readComments(".")
	if err != nil {
		return err
	}
	g := &generator{comments: comments, done: map[string]bool{}}
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://millrace.dev/schema/pipeline.v1alpha1.json"},
		{"title", "Millrace pipeline"},
	}
	root = append(root, g.structure(reflect.TypeFor[config.Pipeline]())...)
	root = append(root, pair{"$defs", g.defs})
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return err
	}
	page, err := g.reference()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile("pipeline.schema.json", append(text, '\n'), 0o644),
		os.WriteFile("reference.md", []byte(page), 0o644),
	)
}

// object is a JSON object whose keys keep their order.
type object []pair

type pair struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(p.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// readComments returns the comment of every struct field in a folder, by
// "Type.Field".
func readComments(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, id := range f.Names {
						comments[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return comments, nil
}

type generator struct {
	comments map[string]string
	defs     object
	done     map[string]bool
}

// structure returns the schema of a struct.
func (g *generator) structure(t reflect.Type) object {
	var properties object
	required := []string{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		var schema object
		if doc := g.comments[t.Name()+"."+f.Name]; doc != "" {
			schema = append(schema, pair{"description", doc})
		}
		schema = append(schema, g.value(f.Type, f.Tag)...)
		if text := f.Tag.Get("example"); text != "" {
			var example any
			if err := yaml.Unmarshal([]byte(text), &example); err != nil {
				panic(fmt.Sprintf("the example of %s.%s is not YAML: %v", t.Name(), f.Name, err))
			}
			schema = slices.DeleteFunc(schema, func(p pair) bool { return p.key == "examples" })
			schema = append(schema, pair{"examples", []any{example}})
		}
		properties = append(properties, pair{name, schema})
		if f.Tag.Get("required") == "true" {
			required = append(required, name)
		}
	}
	s := object{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}
	if len(required) > 0 {
		s = append(s, pair{"required", required})
	}
	return s
}

// value returns the schema of a field, from its type and tag.
func (g *generator) value(t reflect.Type, tag reflect.StructTag) object {
	switch t {
	case reflect.TypeFor[config.Value]():
		return object{{"type", []string{"string", "number", "boolean"}}}
	case reflect.TypeFor[config.Words]():
		word := object{{"type", []string{"string", "number", "boolean"}}}
		return object{{"anyOf", []any{word, object{{"type", "array"}, {"items", word}}}}}
	case reflect.TypeFor[config.Quantity]():
		return object{{"type", []string{"string", "number"}}, {"examples", []string{"500m", "2Gi", "1"}}}
	case reflect.TypeFor[config.Duration]():
		s := object{{"type", "string"}, {"pattern", `^([0-9]+d)?([0-9.]+(h|m|s|ms|us|µs|ns))*$`}, {"minLength", 2}, {"examples", []string{"30d", "1h", "10m"}}}
		if preset := tag.Get("default"); preset != "" {
			s = append(s, pair{"default", preset})
		}
		return s
	case reflect.TypeFor[config.Unique]():
		columns := object{{"type", "array"}, {"items", object{{"type", "string"}}}, {"minItems", 1}}
		across := object{{"enum", []string{config.UniqueAcrossPartition, config.UniqueAcrossDataset}}, {"default", config.UniqueAcrossPartition}}
		long := object{{"type", "object"}, {"properties", object{{"columns", columns}, {"across", across}}}, {"required", []string{"columns"}}, {"additionalProperties", false}}
		return object{{"anyOf", []any{columns, long}}}
	case reflect.TypeFor[config.EnvValue]():
		secret := object{{"type", "object"}, {"properties", object{{"secret", object{{"type", "string"}, {"pattern", "^[^/]+/[^/]+$"}}}}}, {"required", []string{"secret"}}, {"additionalProperties", false}}
		return object{{"anyOf", []any{object{{"type", "string"}}, secret}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem(), tag)
	case reflect.Struct:
		return object{{"$ref", g.define(t)}}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{{"type", "object"}}
		}
		return object{{"type", "object"}, {"additionalProperties", g.value(t.Elem(), "")}}
	case reflect.Slice:
		s := object{{"type", "array"}, {"items", append(g.value(t.Elem(), ""), limits(tag)...)}}
		if tag.Get("nonempty") == "true" {
			s = append(s, pair{"minItems", 1})
		}
		if preset := tag.Get("default"); preset != "" {
			s = append(s, pair{"default", strings.Split(preset, ",")})
		}
		return s
	}
	s := append(object{{"type", jsonType(t)}}, limits(tag)...)
	if preset, ok := tag.Lookup("default"); ok {
		s = append(s, pair{"default", literal(t, preset)})
	}
	if t.Kind() == reflect.String && (tag.Get("nonempty") == "true" || tag.Get("required") == "true" && tag.Get("enum") == "") {
		s = append(s, pair{"minLength", 1})
	}
	return s
}

// define adds a struct to $defs, once, and returns its reference.
func (g *generator) define(t reflect.Type) string {
	if !g.done[t.Name()] {
		g.done[t.Name()] = true
		g.defs = append(g.defs, pair{t.Name(), g.structure(t)})
	}
	return "#/$defs/" + t.Name()
}

// limits returns the limits of a single value in the tags.
func limits(tag reflect.StructTag) object {
	var s object
	if enum := tag.Get("enum"); enum != "" {
		s = append(s, pair{"enum", strings.Split(enum, ",")})
	}
	for _, l := range []struct{ tag, key string }{
		{"min", "minimum"}, {"max", "maximum"}, {"above", "exclusiveMinimum"}, {"below", "exclusiveMaximum"},
	} {
		if bound := tag.Get(l.tag); bound != "" {
			s = append(s, pair{l.key, json.Number(bound)})
		}
	}
	return s
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	}
	panic("no JSON type for " + t.String())
}

// literal returns a default as a JSON value.
func literal(t reflect.Type, text string) any {
	if t.Kind() == reflect.String {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		panic(err)
	}
	return json.Number(text)
}
