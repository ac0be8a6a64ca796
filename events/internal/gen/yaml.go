package main

import (
	"bytes"
	"fmt"
	"strings"
)

// yaml writes objects, lists and scalars as YAML: blocks for what has members,
// JSON (which YAML contains) for the rest.
func yaml(o object) []byte {
	var b bytes.Buffer
	b.WriteString("# Made by internal/gen from the Go types; go generate writes it anew.\n")
	writeObject(&b, o, "")
	return b.Bytes()
}

func writeObject(b *bytes.Buffer, o object, indent string) {
	for _, m := range o {
		fmt.Fprintf(b, "%s%s:", indent, key(m.name))
		writeValue(b, m.value, indent+"  ")
	}
}

// writeValue writes what comes behind a colon or a dash.
func writeValue(b *bytes.Buffer, v any, indent string) {
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteByte('\n')
		writeObject(b, v, indent)
	case []object:
		b.WriteByte('\n')
		for _, o := range v {
			var item bytes.Buffer
			writeObject(&item, o, indent+"  ")
			fmt.Fprintf(b, "%s- %s", indent, strings.TrimPrefix(item.String(), indent+"  "))
		}
	default:
		text, err := plain(v)
		if err != nil {
			panic(err) // strings, numbers and raw JSON have a JSON form
		}
		fmt.Fprintf(b, " %s\n", text)
	}
}

// key is a member's name, quoted where YAML would read something else: a
// letter alone is a boolean to some ("n").
func key(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if len(name) > 1 && strings.ContainsRune(letters, rune(name[0])) && strings.Trim(name, letters+"0123456789.") == "" {
		return name
	}
	text, err := plain(name)
	if err != nil {
		panic(err) // a string has a JSON form
	}
	return string(text)
}
