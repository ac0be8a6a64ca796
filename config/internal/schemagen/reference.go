package main

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"millrace.dev/config"
)

// reference returns the page of all fields of a pipeline file: one table for
// each section, in the order of the file.
func (g *generator) reference() (string, error) {
	var b strings.Builder
	b.WriteString(`# The pipeline file, field by field

<!-- Written by go generate from the types of this package: their comments, tags and defaults. -->

One YAML file describes one pipeline; [README.md](README.md) shows a whole one. Unknown fields are errors. A field without a default may be left out
unless it is **required**. A duration is written as 30d, 1h, 10m, 1h30m or 250ms; a day has 24 hours.
`)
	if err := g.section(&b, "", reflect.TypeFor[config.Pipeline](), map[reflect.Type]string{}); err != nil {
		return "", err
	}
	return b.String(), nil
}

// section writes the table of the struct t at path, then the sections of the
// structs in it. A type that already has a section is linked to it.
func (g *generator) section(b *strings.Builder, path string, t reflect.Type, seen map[reflect.Type]string) error {
	title := path
	if title == "" {
		title = "The file"
	}
	seen[t] = title
	fmt.Fprintf(b, "\n## %s\n\n| field | type | default | meaning | example |\n|---|---|---|---|---|\n", title)
	type inner struct {
		path string
		t    reflect.Type
	}
	var inside []inner
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		doc := g.comments[t.Name()+"."+f.Name]
		if doc == "" {
			return fmt.Errorf("%s.%s has no comment, which is its description in the reference", t.Name(), f.Name)
		}
		kind, element, below := described(f.Type, strings.TrimPrefix(path+"."+name, "."))
		example := f.Tag.Get("example")
		if element != nil {
			example = ""
			if title, ok := seen[element]; ok {
				kind = fmt.Sprintf("as [%s](#%s)", title, anchor(title))
			} else {
				kind = fmt.Sprintf("[%s](#%s)", kind, anchor(below))
				inside = append(inside, inner{below, element})
			}
		} else if example == "" {
			return fmt.Errorf(`%s.%s has no example: write example:"..." beside its json tag`, t.Name(), f.Name)
		}
		meaning, preset := splitDefault(doc)
		if written, ok := f.Tag.Lookup("default"); ok {
			preset = written
		}
		if f.Tag.Get("required") == "true" {
			preset = "**required**"
		}
		if bounds := bounds(f.Tag); bounds != "" {
			meaning += " " + bounds
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", name, kind, cell(preset), cell(meaning), code(example))
	}
	for _, s := range inside {
		if err := g.section(b, s.path, s.t, seen); err != nil {
			return err
		}
	}
	return nil
}

// described returns the name of a field's type for people and, for a struct, the
// struct and its path.
func described(t reflect.Type, path string) (kind string, element reflect.Type, below string) {
	switch t {
	case reflect.TypeFor[config.Value]():
		return "string, number or bool", nil, path
	case reflect.TypeFor[config.Quantity]():
		return "amount", nil, path
	case reflect.TypeFor[config.Duration]():
		return "duration", nil, path
	case reflect.TypeFor[config.EnvValue]():
		return "string or secret", nil, path
	case reflect.TypeFor[config.Unique]():
		return "list of strings, or section", nil, path
	}
	switch t.Kind() {
	case reflect.Pointer:
		return described(t.Elem(), path)
	case reflect.Struct:
		return "section", t, path
	case reflect.Slice:
		kind, element, below = described(t.Elem(), path+"[]")
		return "list of " + several(kind), element, below
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return "map", nil, path
		}
		kind, element, below = described(t.Elem(), path+".NAME")
		return "map of " + several(kind), element, below
	}
	return map[string]string{"string": "string", "integer": "whole number", "number": "number"}[jsonType(t)], nil, path
}

func several(kind string) string {
	switch kind {
	case "string, number or bool":
		return "values"
	case "string or secret":
		return "strings or secrets"
	}
	return kind + "s"
}

// bounds describes the limits in the tags.
func bounds(tag reflect.StructTag) string {
	var all []string
	if enum := tag.Get("enum"); enum != "" {
		all = append(all, "One of `"+strings.ReplaceAll(enum, ",", "`, `")+"`.")
	}
	if later := tag.Get("later"); later != "" {
		all = append(all, "Reserved and refused today: `"+strings.ReplaceAll(later, ",", "`, `")+"`.")
	}
	var limits []string
	for _, l := range []struct{ tag, words string }{{"min", "at least "}, {"above", "more than "}, {"max", "at most "}, {"below", "less than "}} {
		if bound := tag.Get(l.tag); bound != "" {
			limits = append(limits, l.words+bound)
		}
	}
	if len(limits) > 0 {
		text := strings.Join(limits, ", ")
		all = append(all, strings.ToUpper(text[:1])+text[1:]+".")
	}
	if tag.Get("nonempty") == "true" {
		all = append(all, "Not empty.")
	}
	return strings.Join(all, " ")
}

var defaultSentence = regexp.MustCompile(`\s*Default: (.*)\.$`)

// splitDefault takes the last sentence "Default: x." off a comment: a default
// that depends on other fields has no tag.
func splitDefault(doc string) (meaning, preset string) {
	if m := defaultSentence.FindStringSubmatch(doc); m != nil {
		return strings.TrimSuffix(doc, m[0]), m[1]
	}
	return doc, ""
}

func cell(text string) string {
	text = strings.ReplaceAll(text, "|", `\|`)
	// Asterisks and placeholders are escaped.
	if strings.HasPrefix(text, "**") {
		return text
	}
	return strings.ReplaceAll(text, "*", `\*`)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// anchor returns the anchor that GitHub makes for a heading.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '-'
		}
		return -1
	}, title)
}
