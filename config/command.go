package config

import (
	"encoding/json"
	"regexp"
	"strings"
)

var placeholder = regexp.MustCompile(`\{\{(.*?)\}\}`)

// placeholders returns the texts between double braces in an argument of a
// command.
func placeholders(arg string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(arg, -1) {
		names = append(names, strings.TrimSpace(m[1]))
	}
	return names
}

// Argv returns the command with each {{params.x}} replaced by the parameter:
// strings unchanged, all other values as JSON. A placeholder without a parameter,
// which Load refuses, is left unchanged. One argument stays one argument.
func (t *Train) Argv(params map[string]any) []string {
	argv := make([]string, len(t.Command))
	for i, arg := range t.Command {
		argv[i] = placeholder.ReplaceAllStringFunc(arg, func(match string) string {
			name := strings.TrimSpace(strings.Trim(match, "{}"))
			name, _ = strings.CutPrefix(name, "params.")
			value, ok := params[name]
			if !ok {
				return match
			}
			if text, ok := value.(string); ok {
				return text
			}
			text, err := json.Marshal(value)
			if err != nil {
				return match
			}
			return string(text)
		})
	}
	return argv
}
