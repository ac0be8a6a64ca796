package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// kind is the kind of a node.
type kind int

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat
	kindText
	kindList
	kindMap
	kindRefused // a problem with it is already reported
)

func (k kind) String() string {
	return [...]string{"nothing", "a boolean", "a whole number", "a number", "a string", "a list", "a mapping", "refused"}[k]
}

// node is one value of a YAML or JSON document, the input of the decoder. An
// alias is in the tree as often as it is used.
type node struct {
	kind   kind
	value  any    // bool, int64, float64 or string
	source string // a scalar as written
	items  []*node
	fields []field
	pos    position
}

// field is one entry of a mapping.
type field struct {
	name  string
	pos   position
	value *node
}

// position is a place in a file; lines and columns count from 1.
type position struct{ line, column int }

// get returns the first entry of that name.
func (n *node) get(name string) *field {
	i := slices.IndexFunc(n.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &n.fields[i]
}

// plain returns the value as encoding/json decodes it, but whole numbers as
// int64.
func (n *node) plain() any {
	switch n.kind {
	case kindList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.plain()
		}
		return list
	case kindMap:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.name] = f.value.plain()
		}
		return m
	}
	return n.value
}

// parseJSON parses a JSON document.
func parseJSON(data []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return jsonNode(x), nil
}

func jsonNode(x any) *node {
	switch x := x.(type) {
	case bool:
		return &node{kind: kindBool, value: x, source: fmt.Sprint(x)}
	case string:
		return &node{kind: kindText, value: x, source: x}
	case json.Number:
		n := &node{kind: kindFloat, value: number(x), source: x.String()}
		if _, whole := n.value.(int64); whole {
			n.kind = kindInt
		}
		return n
	case []any:
		n := &node{kind: kindList}
		for _, item := range x {
			n.items = append(n.items, jsonNode(item))
		}
		return n
	case map[string]any:
		n := &node{kind: kindMap}
		for name, value := range x {
			n.fields = append(n.fields, field{name: name, value: jsonNode(value)})
		}
		return n
	}
	return &node{kind: kindNull}
}
