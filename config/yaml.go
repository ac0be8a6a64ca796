package config

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a pipeline file. The parser takes time in the square of the tokens
// and of the depth, so both are checked before it runs. Nodes are limited because
// aliases multiply them.
const (
	maxFileBytes = 1 << 20
	maxTokens    = 50_000
	maxDepth     = 64
	maxNodes     = 100_000
)

// yamlReader converts one YAML file to nodes and collects its problems.
type yamlReader struct {
	file     string
	problems Problems
	anchors  map[string]ast.Node
	open     map[string]bool // anchors whose value is being read
	nodes    int
}

// parseYAML parses a YAML file of one document. It returns a node, problems, or
// both in the case of duplicate keys.
func parseYAML(file string, data []byte) (*node, Problems) {
	r := &yamlReader{file: file, anchors: map[string]ast.Node{}, open: map[string]bool{}}
	body := r.parse(data)
	if body == nil {
		return nil, r.problems
	}
	n := r.node(body, 0)
	if r.nodes > maxNodes {
		return nil, Problems{{File: file, Message: fmt.Sprintf("has more than %d values once its aliases are expanded", maxNodes)}}
	}
	return n, r.problems
}

func (r *yamlReader) problem(pos position, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.file, Line: pos.line, Column: pos.column, Message: fmt.Sprintf(format, args...)})
}

// refuse reports a value and marks its node as refused.
func (r *yamlReader) refuse(n *node, format string, args ...any) {
	n.kind = kindRefused
	r.problem(n.pos, format, args...)
}

func (r *yamlReader) parse(data []byte) ast.Node {
	switch {
	case len(data) > maxFileBytes:
		r.problem(position{}, "is larger than 1 MiB")
		return nil
	case !utf8.Valid(data):
		r.problem(position{}, "is not UTF-8 text")
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if len(tokens) > maxTokens {
		r.problem(position{}, "has more than %d YAML tokens", maxTokens)
		return nil
	}
	if t := tooDeep(tokens); t != nil {
		r.problem(at(t), "is nested deeper than %d levels", maxDepth)
		return nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		type syntaxError interface {
			error
			GetToken() *token.Token
			GetMessage() string
		}
		if syntax, ok := errors.AsType[syntaxError](err); ok {
			r.problem(at(syntax.GetToken()), "is not YAML: %s", syntax.GetMessage())
		} else {
			r.problem(position{}, "is not YAML: %s", firstLine(err.Error()))
		}
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			r.problem(start(doc.Body), "is a second document; one file is one pipeline")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		r.problem(position{1, 1}, "is empty; a pipeline begins with apiVersion: %s", APIVersion)
	}
	return body
}

// tooDeep returns the first token that is nested too deeply, or nil. Brackets,
// indented block entries, and sequences of anchors and keys add depth.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, row := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets--
		}
		switch t.Type {
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			row++
		case token.MappingValueType, token.CollectEntryType:
			row = 0
		}
		if t.Prev != nil && t.Position.Line != t.Prev.Position.Line {
			row = 0
		}
		if brackets > maxDepth || row > maxDepth || t.Position.IndentNum > 16*maxDepth {
			return t
		}
	}
	return nil
}

func at(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// start returns the position of a value. For a mapping it is that of the first
// key, since the token of a mapping is a colon.
func start(y ast.Node) position {
	switch y := y.(type) {
	case *ast.MappingNode:
		if len(y.Values) > 0 {
			return at(y.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return at(y.Key.GetToken())
	}
	return at(y.GetToken())
}

// node converts a YAML value to a node.
func (r *yamlReader) node(y ast.Node, depth int) *node {
	r.nodes++
	if y == nil || r.nodes > maxNodes {
		return &node{}
	}
	n := &node{pos: start(y)}
	if depth > maxDepth {
		r.problem(n.pos, "is nested deeper than %d levels", maxDepth)
		r.nodes = maxNodes
		return n
	}
	scalar := func(k kind, value any) {
		n.kind, n.value, n.source = k, value, y.GetToken().Value
	}
	switch y := y.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		scalar(kindBool, y.Value)
	case *ast.IntegerNode:
		scalar(kindInt, y.Value)
		if u, ok := y.Value.(uint64); ok {
			if u <= math.MaxInt64 {
				n.value = int64(u)
			} else {
				scalar(kindFloat, float64(u))
			}
		}
	case *ast.FloatNode:
		scalar(kindFloat, y.Value)
	case *ast.StringNode:
		scalar(kindText, y.Value)
	case *ast.LiteralNode:
		scalar(kindText, y.Value.Value)
	case *ast.InfinityNode, *ast.NanNode:
		r.refuse(n, "%s is not a supported number", y.GetToken().Value)
	case *ast.SequenceNode:
		n.kind = kindList
		for _, item := range y.Values {
			n.items = append(n.items, r.node(item, depth+1))
		}
	case *ast.MappingNode:
		n.kind = kindMap
		r.fields(n, y.Values, depth)
	case *ast.MappingValueNode:
		n.kind = kindMap
		r.fields(n, []*ast.MappingValueNode{y}, depth)
	case *ast.AnchorNode:
		name := y.Name.GetToken().Value
		r.anchors[name] = y.Value
		r.open[name] = true
		value := r.node(y.Value, depth)
		delete(r.open, name)
		return value
	case *ast.AliasNode:
		name := y.Value.GetToken().Value
		value, known := r.anchors[name]
		switch {
		case !known:
			r.refuse(n, "*%s does not refer to an anchor above it", name)
		case r.open[name]:
			r.refuse(n, "*%s contains itself", name)
		default:
			return r.node(value, depth+1)
		}
	case *ast.TagNode:
		r.refuse(n, "%s: tags are not used in pipeline files", y.Start.Value)
	default:
		r.refuse(n, "%s is not used in pipeline files", strings.ToLower(y.Type().String()))
	}
	return n
}

// fields adds the entries of a mapping to n. Entries from a merge key (<<) come
// after the written ones.
func (r *yamlReader) fields(n *node, entries []*ast.MappingValueNode, depth int) {
	var merged []field
	for _, e := range entries {
		pos := at(e.Key.GetToken())
		if e.Key.IsMergeKey() {
			from := r.node(e.Value, depth+1)
			for _, m := range append([]*node{from}, from.items...) {
				merged = append(merged, m.fields...)
			}
			continue
		}
		name, ok := keyText(e.Key)
		if !ok {
			r.problem(pos, "is not a name of a field")
			continue
		}
		if first := n.get(name); first != nil {
			r.problem(pos, "%q is written twice, first on line %d", name, first.pos.line)
			continue
		}
		n.fields = append(n.fields, field{name: name, pos: pos, value: r.node(e.Value, depth+1)})
	}
	for _, f := range merged {
		if n.get(f.name) == nil {
			n.fields = append(n.fields, f)
		}
	}
}

// keyText returns the name of an entry. For numbers, booleans and null it is
// their text.
func keyText(key ast.MapKeyNode) (string, bool) {
	switch key := key.(type) {
	case *ast.StringNode:
		return key.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return key.GetToken().Value, true
	}
	return "", false
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
