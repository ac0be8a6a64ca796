package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// rules are the rules in a field's tags.
type rules struct {
	name                   string // "" if the field is not in the file
	required, nonempty     bool
	preset, example        string
	enum, later            []string
	min, max, above, below string
}

func rulesOf(f reflect.StructField) rules {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		name = ""
	}
	return rules{
		name: name, required: f.Tag.Get("required") == "true", nonempty: f.Tag.Get("nonempty") == "true",
		preset: f.Tag.Get("default"), example: f.Tag.Get("example"), enum: words(f.Tag.Get("enum")), later: words(f.Tag.Get("later")),
		min: f.Tag.Get("min"), max: f.Tag.Get("max"), above: f.Tag.Get("above"), below: f.Tag.Get("below"),
	}
}

func words(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, ",")
}

// scalar fills a string, number or boolean.
func (d *decoder) scalar(n *node, v reflect.Value, r rules, path string) {
	wrong := func(want string) { d.problem(path, quoteHint(n, want), r.enum, "is %s and must be %s", n.kind, want) }
	switch v.Kind() {
	case reflect.String:
		if n.kind != kindText {
			wrong("a string")
			return
		}
		text := n.value.(string)
		if !d.allowed(text, r, path) {
			return
		}
		if r.required && text == "" || r.nonempty && text == "" {
			d.problem(path, "", nil, "must not be empty")
			return
		}
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		if n.kind != kindInt {
			wrong("a whole number")
			return
		}
		v.SetInt(n.value.(int64))
		d.bounds(v, r, path)
	case reflect.Bool:
		if n.kind != kindBool {
			wrong("true or false")
			return
		}
		v.SetBool(n.value.(bool))
	case reflect.Float64:
		if n.kind != kindInt && n.kind != kindFloat {
			wrong("a number")
			return
		}
		v.SetFloat(asFloat(n.value))
		d.bounds(v, r, path)
	default:
		panic(fmt.Sprintf("config: no decoder for %s at %s", v.Type(), path))
	}
}

// quoteHint returns how to write a string that YAML reads as another type.
func quoteHint(n *node, want string) string {
	switch {
	case want == "a string" && n.source != "" && n.kind != kindText:
		return fmt.Sprintf("write it in quotes: %q", n.source)
	case want != "a string" && n.kind == kindText && n.value != "":
		if presetNode(n.value.(string)).kind != kindText {
			return "write it without quotes"
		}
	}
	return ""
}

// allowed checks a string against the allowed values of a field.
func (d *decoder) allowed(text string, r rules, path string) bool {
	switch {
	case d.lenient || len(r.enum) == 0 || slices.Contains(r.enum, text):
		return true
	case slices.Contains(r.later, text):
		d.problem(path, "", r.enum, "not yet: %q is reserved", text)
	case strings.HasSuffix(text, "]") && slices.Contains(r.enum, TypeFloat):
		d.problem(path, "make each number a column, by prepare: SELECT (v::DOUBLE[2])[1] AS v1, (v::DOUBLE[2])[2] AS v2 FROM upload", r.enum, "%q is not a type: a column has no lists", text)
	default:
		d.problem(path, didYouMean(text, r.enum), r.enum, "%q is not %s", text, article(path))
	}
	return false
}

// article returns a field's name with its indefinite article: a type, an
// on_drift.
func article(path string) string {
	last := path[strings.LastIndexByte(path, '.')+1:]
	last, _, _ = strings.Cut(last, "[")
	switch {
	case last == "do" || last == "on" || last == "by":
		return "a value of " + last
	case strings.ContainsRune("aeiou", rune(last[0])):
		return "an " + last
	}
	return "a " + last
}

// bounds checks a number or duration against min, max, above and below.
func (d *decoder) bounds(v reflect.Value, r rules, path string) {
	value := func(bound string) float64 { f, _ := strconv.ParseFloat(bound, 64); return f }
	x := 0.0
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		x = float64(v.Int())
	case reflect.Float64:
		x = v.Float()
	}
	shown := fmt.Sprint(v.Interface())
	switch {
	case r.min != "" && x < value(r.min):
		d.problem(path, "", nil, "%s is too small: the minimum is %s", shown, r.min)
	case r.max != "" && x > value(r.max):
		d.problem(path, "", nil, "%s is too large: the maximum is %s", shown, r.max)
	case r.above != "" && x <= value(r.above):
		d.problem(path, "", nil, "%s is too small: it must be more than %s", shown, r.above)
	case r.below != "" && x >= value(r.below):
		d.problem(path, "", nil, "%s is too large: it must be less than %s", shown, r.below)
	}
}

func (d *decoder) duration(n *node, target encoding.TextUnmarshaler, path string) {
	const example = "write it with its unit: 30d, 1h, 10m, 30s"
	if n.kind != kindText {
		d.problem(path, example, nil, "is %s and must be a duration", n.kind)
		return
	}
	if err := target.UnmarshalText([]byte(n.value.(string))); err != nil {
		d.problem(path, example, nil, "%s", err)
	}
}

func (d *decoder) scalarValue(n *node, target *Value, path string) {
	switch n.kind {
	case kindText, kindInt, kindFloat, kindBool:
		target.v = n.value
	default:
		d.problem(path, "", nil, "is %s and must be a string, a number, true or false", n.kind)
	}
}

func (d *decoder) words(n *node, target *Words, r rules, path string) {
	items := []*node{n}
	if n.kind == kindList {
		items = n.items
	}
	if len(items) == 0 && r.nonempty {
		d.problem(path, "", nil, "must not be empty")
	}
	*target = Words{}
	for i, item := range items {
		sub := path
		if n.kind == kindList {
			sub = index(path, i)
			d.where[sub] = item.pos
		}
		switch item.kind {
		case kindText:
			*target = append(*target, item.value.(string))
		case kindInt, kindFloat, kindBool:
			*target = append(*target, item.source)
		case kindNull:
			d.problem(sub, `write it in quotes: "null"`, nil, "is empty")
		case kindRefused:
		default:
			d.problem(sub, "", nil, "is %s and must be a word", item.kind)
		}
	}
}

// unique fills a list of columns, or a mapping with columns and across.
func (d *decoder) unique(n *node, target *Unique, path string) {
	target.Across = UniqueAcrossPartition
	if n.kind != kindMap {
		d.list(n, reflect.ValueOf(&target.Columns).Elem(), rules{nonempty: true}, path)
		return
	}
	var form uniqueForm
	d.object(n, reflect.ValueOf(&form).Elem(), path)
	*target = Unique(form)
}

func (d *decoder) envValue(n *node, target *EnvValue, path string) {
	switch {
	case n.kind == kindText:
		target.Value = n.value.(string)
	case n.kind == kindMap && len(n.fields) == 1 && n.fields[0].name == "secret" && n.fields[0].value.kind == kindText:
		target.Secret = n.fields[0].value.value.(string)
		if target.Secret == "" {
			d.problem(path, "", nil, "does not name a secret: write {secret: name/key}")
		}
	case n.kind == kindMap:
		d.problem(path, "", nil, "is a mapping and must be a string or {secret: name/key}")
	default:
		d.problem(path, quoteHint(n, "a string"), nil, "is %s and must be a string or {secret: name/key}", n.kind)
	}
}

func (d *decoder) quantity(n *node, target *Quantity, path string) {
	switch n.kind {
	case kindText, kindInt, kindFloat:
		*target = Quantity(n.source)
	default:
		d.problem(path, "", nil, "is %s and must be an amount such as 500m, 2Gi or 1", n.kind)
	}
}
