package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder fills a Pipeline from nodes by the tags of its types (see Pipeline)
// and collects all mistakes. A lenient decoder is for the canonical JSON of
// another version: it ignores unknown fields, requires none, and leaves values
// that do not fit empty.
type decoder struct {
	file     string
	lenient  bool
	problems Problems
	// where holds the position of each field that was read, by its path.
	where map[string]position
}

func newDecoder(file string, lenient bool) *decoder {
	return &decoder{file: file, lenient: lenient, where: map[string]position{}}
}

// problem adds a mistake at a path, unless the path or a part of it already has
// one: the second mistake would follow from the first.
func (d *decoder) problem(path, hint string, allowed []string, format string, args ...any) {
	if d.lenient {
		return
	}
	for _, p := range d.problems {
		if p.Field == path || isBelow(p.Field, path) {
			return
		}
	}
	pos := d.position(path)
	d.problems = append(d.problems, Problem{
		File: d.file, Line: pos.line, Column: pos.column, Field: path,
		Message: fmt.Sprintf(format, args...), Allowed: allowed, Hint: hint,
	})
}

// position returns the position of a path, or of its nearest existing parent.
func (d *decoder) position(path string) position {
	for path != "" {
		if pos, ok := d.where[path]; ok {
			return pos
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return d.where[""]
}

func isBelow(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

func join(path, name string) string {
	if name == "" || strings.ContainsAny(name, ".[]\" \n") {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// object fills a struct. A nil node is an absent section, which gets its
// defaults.
func (d *decoder) object(n *node, v reflect.Value, path string) {
	if n != nil && (n.kind == kindNull && path != "" || n.kind == kindRefused) {
		n = nil
	}
	if n != nil && n.kind != kindMap {
		d.problem(path, suchAs(shape(n, v.Type())), nil, "is %s and must be a mapping of fields", n.kind)
		n = nil
	}
	for i := range v.NumField() {
		r := rulesOf(v.Type().Field(i))
		if r.name == "" {
			continue
		}
		sub := join(path, r.name)
		var f *field
		if n != nil {
			f = n.get(r.name)
		}
		switch {
		case f != nil && f.value.kind == kindRefused:
			d.preset(v.Field(i), r, sub)
		case f != nil && f.value.kind != kindNull:
			d.where[sub] = f.value.pos
			if k := f.value.kind; k == kindMap || k == kindList {
				d.where[sub] = f.pos
			}
			d.field(f.value, v.Field(i), r, sub)
		default:
			switch {
			case f != nil:
				d.where[sub] = f.pos
				d.problem(sub, "fill it in or remove it", r.enum, "is empty")
			case r.required && n != nil:
				d.problem(sub, "", r.enum, "is missing")
			}
			d.preset(v.Field(i), r, sub)
		}
	}
	if n != nil && !d.lenient {
		d.unknown(n, v.Type(), path)
	}
}

// shape shows how a section is written that is something else in the file: with its
// required fields, the first of them from the file if that is what stands there.
func shape(n *node, section reflect.Type) string {
	var fields []string
	for i := range section.NumField() {
		r := rulesOf(section.Field(i))
		if !r.required || r.example == "" {
			continue
		}
		value := r.example
		if text, ok := n.value.(string); ok && len(fields) == 0 && slices.Contains(r.enum, text) {
			value = text
		}
		fields = append(fields, r.name+": "+value)
	}
	if fields == nil {
		return ""
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func suchAs(example string) string {
	if example == "" {
		return ""
	}
	return "write it as in " + example
}

// preset sets the default of an absent field.
func (d *decoder) preset(v reflect.Value, r rules, path string) {
	if v.Kind() == reflect.Struct {
		d.object(nil, v, path)
		return
	}
	if r.preset == "" {
		return
	}
	if v.Kind() == reflect.Slice {
		list := &node{kind: kindList}
		for text := range strings.SplitSeq(r.preset, ",") {
			list.items = append(list.items, presetNode(text))
		}
		d.field(list, v, r, path)
		return
	}
	d.field(presetNode(r.preset), v, r, path)
}

// presetNode returns the node of a scalar in a default tag.
func presetNode(text string) *node {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return &node{kind: kindInt, value: i, source: text}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return &node{kind: kindFloat, value: f, source: text}
	}
	return &node{kind: kindText, value: text, source: text}
}

// unknown reports the fields of n that the type does not have.
func (d *decoder) unknown(n *node, t reflect.Type, path string) {
	var names []string
	for f := range t.Fields() {
		if r := rulesOf(f); r.name != "" {
			names = append(names, r.name)
		}
	}
	for _, f := range n.fields {
		if slices.Contains(names, f.name) {
			continue
		}
		sub := join(path, f.name)
		d.where[sub] = f.pos
		if laterFields[t] != nil && slices.Contains(laterFields[t], f.name) {
			d.problem(sub, "", nil, "not yet: the field is reserved")
			continue
		}
		hint := didYouMean(f.name, names)
		if place := placeOf(f.name); place != "" && hint == "" {
			hint = "it belongs in " + place
		}
		d.problem(sub, hint, names, "is not a field of %s", sectionName(path))
	}
}

func sectionName(path string) string {
	if path == "" {
		return "a pipeline"
	}
	return path
}

// laterFields are reserved fields, refused with "not yet".
var laterFields = map[reflect.Type][]string{
	reflect.TypeFor[Column](): {"shape", "datatype"},
}

// placeOf returns the section that has a field of that name, "" if no section or
// several have it.
func placeOf(name string) string {
	var places []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for f := range t.Fields() {
			r := rulesOf(f)
			if r.name == name {
				places = append(places, path)
			}
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if r.name != "" && inner.Kind() == reflect.Struct {
				walk(inner, join(path, r.name))
			}
		}
	}
	walk(reflect.TypeFor[Pipeline](), "")
	if len(places) != 1 {
		return ""
	}
	return places[0]
}

// field fills one field, or one element of a list or mapping.
func (d *decoder) field(n *node, v reflect.Value, r rules, path string) {
	switch target := v.Addr().Interface().(type) {
	case *Value:
		d.scalarValue(n, target, path)
		return
	case *EnvValue:
		d.envValue(n, target, path)
		return
	case *Quantity:
		d.quantity(n, target, path)
		return
	case *Words:
		d.words(n, target, r, path)
		return
	case *Unique:
		d.unique(n, target, path)
		return
	case encoding.TextUnmarshaler: // Duration
		d.duration(n, target, path)
		d.bounds(v, r, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.field(n, v.Elem(), r, path)
	case reflect.Slice:
		d.list(n, v, r, path)
	case reflect.Map:
		d.mapping(n, v, r, path)
	default:
		d.scalar(n, v, r, path)
	}
}

func (d *decoder) list(n *node, v reflect.Value, r rules, path string) {
	if n.kind != kindList {
		d.problem(path, "write it in brackets: ["+firstLine(n.source)+"]", nil, "is %s and must be a list", n.kind)
		return
	}
	if r.nonempty && len(n.items) == 0 {
		d.problem(path, "", nil, "must not be empty")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	r.preset, r.required, r.nonempty = "", false, false // these rules are the list's, the others the elements'
	for i, item := range n.items {
		sub := index(path, i)
		d.where[sub] = item.pos
		switch item.kind {
		case kindRefused:
			continue
		case kindNull:
			d.problem(sub, "", nil, "is empty")
			continue
		}
		d.field(item, v.Index(i), r, sub)
	}
}

func (d *decoder) mapping(n *node, v reflect.Value, r rules, path string) {
	if n.kind != kindMap {
		d.problem(path, suchAs(r.example), nil, "is %s and must be a mapping", n.kind)
		return
	}
	if len(n.fields) == 0 {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.fields)))
	free := v.Type().Elem().Kind() == reflect.Interface
	for _, f := range n.fields {
		sub := join(path, f.name)
		d.where[sub] = f.pos
		if free {
			value := reflect.New(v.Type().Elem()).Elem()
			if plain := f.value.plain(); plain != nil {
				value.Set(reflect.ValueOf(plain))
			}
			v.SetMapIndex(reflect.ValueOf(f.name), value)
			continue
		}
		if f.value.kind == kindRefused {
			continue
		}
		if f.value.kind == kindNull && v.Type().Elem().Kind() != reflect.Struct {
			d.problem(sub, "", nil, "is empty")
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.field(f.value, value, rules{}, sub)
		v.SetMapIndex(reflect.ValueOf(f.name), value)
	}
}
