package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"millrace.dev/events"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := plain(m.name)
		if err != nil {
			return nil, err
		}
		value, err := plain(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plain is v as JSON that people read: < and > stand as they are.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func (o *object) set(name string, value any) { *o = append(*o, member{name, value}) }

// schemas makes schemas of Go types; the named structs among them stand once,
// under $defs.
type schemas struct {
	docs comments
	defs object
	seen map[reflect.Type]bool
}

// schemaOf is the schema of an event type's data.
func schemaOf(t events.Type, docs comments) object {
	goType := reflect.TypeOf(t.Zero)
	s := schemas{docs: docs, seen: map[reflect.Type]bool{}}
	o := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://millrace.dev/schema/" + t.Name + ".json"},
		{"title", goType.Name()},
		{"description", docs[goType.Name()]},
	}
	o = append(o, s.structure(goType)...)
	if len(s.defs) > 0 {
		o.set("$defs", s.defs)
	}
	return o
}

// of is the schema of a field's type.
func (s *schemas) of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	case reflect.TypeFor[events.Envelope]():
		return s.ref(t, envelope())
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Float64:
		return object{{"type", "number"}}
	case reflect.Int, reflect.Int64:
		return object{{"type", "integer"}}
	case reflect.Slice:
		return object{{"type", []string{"array", "null"}}, {"items", s.of(t.Elem())}}
	case reflect.Map:
		return object{{"type", []string{"object", "null"}}, {"additionalProperties", s.of(t.Elem())}}
	case reflect.Struct:
		return s.ref(t, nil)
	case reflect.Interface:
		return object{}
	default:
		panic("no schema for " + t.String())
	}
}

// ref points to the type's schema under $defs, and puts it there: def, or what
// its fields say.
func (s *schemas) ref(t reflect.Type, def object) object {
	if !s.seen[t] {
		s.seen[t] = true
		if def == nil {
			def = append(object{{"description", s.docs[t.Name()]}}, s.structure(t)...)
		}
		s.defs.set(t.Name(), def)
	}
	return object{{"$ref", "#/$defs/" + t.Name()}}
}

// structure says which members an object has, and which must be there. Others
// are allowed: a reader passes over what it does not know.
func (s *schemas) structure(t reflect.Type) object {
	var properties object
	required := s.fields(t, &properties)
	o := object{{"type", "object"}}
	if len(properties) > 0 {
		o.set("properties", properties)
	}
	if len(required) > 0 {
		o.set("required", required)
	}
	return o
}

func (s *schemas) fields(t reflect.Type, properties *object) (required []string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			required = append(required, s.fields(f.Type, properties)...)
			continue
		}
		schema := s.of(f.Type)
		if doc := s.docs[t.Name()+"."+f.Name]; doc != "" {
			schema = append(object{{"description", doc}}, schema...)
		}
		properties.set(name, schema)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return required
}

// envelope is the schema of a whole event in the CloudEvents structured mode.
func envelope() object {
	text := object{{"type", "string"}, {"minLength", 1}}
	return object{
		{"description", "A CloudEvent in structured mode. Extensions are members beside the attributes."},
		{"type", "object"},
		{"properties", object{
			{"specversion", object{{"const", "1.0"}}},
			{"id", text},
			{"source", text},
			{"type", text},
			{"subject", object{{"type", "string"}}},
			{"time", object{{"type", "string"}, {"format", "date-time"}}},
			{"datacontenttype", object{{"type", "string"}}},
			{"data", object{}},
		}},
		{"required", []string{"specversion", "id", "source", "type"}},
	}
}
