package main

import (
	"fmt"
	"go/ast"
	"maps"
	"reflect"
	"slices"
	"strings"

	"millrace.dev/events"
	"millrace.dev/triggers"
)

// eventTable lists every event of the catalogue with those who emit it and
// those who handle it.
func eventTable(root string) (string, error) {
	emitted, err := emitters(root)
	if err != nil {
		return "", err
	}
	all, _, err := triggers.Embedded()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("\n| event | emitted by | from outside | handled by |\n|---|---|---|---|\n")
	for _, t := range events.Catalogue() {
		by := emitted[reflect.TypeOf(t.Zero).Name()]
		if len(by) == 0 && !t.Foreign {
			return "", fmt.Errorf("%s is emitted by no function and cannot come from outside", t.Name)
		}
		outside := ""
		if t.Foreign {
			outside = "yes"
		}
		fmt.Fprintf(&b, "| `%s.%s` | %s | %s | %s |\n", t.Noun(), t.Past(), strings.Join(by, ", "), outside, strings.Join(handlers(all, t), ", "))
	}
	b.WriteString("\n")
	return b.String(), nil
}

// handlers are the functions whose triggers let the event through; for a tick
// with the actions for which they do.
func handlers(all []triggers.Trigger, t events.Type) []string {
	var names []string
	for _, tr := range all {
		attributes := map[string]string{"via": "log", "type": t.Name}
		if tr.Matches(attributes) {
			names = append(names, tr.Function)
			continue
		}
		var actions []string
		for _, action := range events.TickActions() {
			attributes["action"] = action
			if tr.Matches(attributes) {
				actions = append(actions, action)
			}
		}
		if len(actions) > 0 {
			names = append(names, fmt.Sprintf("%s (%s)", tr.Function, strings.Join(actions, ", ")))
		}
	}
	return names
}

// emitters finds who emits each payload, by the name of its Go type: the
// packages that make one with something in it.
func emitters(root string) (map[string][]string, error) {
	found := map[string]map[string]bool{}
	for _, folder := range []string{"functions", "shared/function", "shared/eventlog", "deploy/relay"} {
		files, err := shipped(root, folder)
		if err != nil {
			return nil, err
		}
		for _, s := range files {
			ast.Inspect(s.file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.CompositeLit); ok && len(literal.Elts) > 0 {
					if name, ok := payload(literal.Type); ok {
						if found[name] == nil {
							found[name] = map[string]bool{}
						}
						found[name][emitter(s.dir)] = true
					}
				}
				return true
			})
		}
	}
	by := map[string][]string{}
	for name, who := range found {
		by[name] = slices.Sorted(maps.Keys(who))
	}
	return by, nil
}

// payload is the name of a type of package events.
func payload(e ast.Expr) (string, bool) {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	pkg, ok := selector.X.(*ast.Ident)
	return selector.Sel.Name, ok && pkg.Name == "events"
}

// emitter is what people call the package in dir.
func emitter(dir string) string {
	parts := strings.Split(dir, "/")
	switch parts[0] {
	case "functions":
		return parts[1]
	case "shared":
		return "every function"
	}
	return parts[len(parts)-1]
}
