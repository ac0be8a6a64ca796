package config

import (
	"strings"
	"testing"
)

func TestCheckParams(t *testing.T) {
	t.Parallel()
	train := &Train{
		Command: []string{"sh", "-ec", "train {{params.shell}}", "{{params.name}}"},
		Params:  map[string]any{"alpha": 0.1, "trees": 100, "name": "a", "on": true, "list": []any{1}, "any": nil, "shell": "x"},
	}
	if err := train.CheckParams(map[string]any{"alpha": -1.0, "trees": 0.5, "name": "b c; d", "on": false, "list": []any{"x"}, "any": "y"}); err != nil {
		t.Errorf("refused: %v", err)
	}
	for want, params := range map[string]map[string]any{
		`"alfa" is not one of train.params: did you mean "alpha"?`:                      {"alfa": 1.0},
		`"zzzzzzzz" is not one of train.params: declared are alpha, any,`:               {"zzzzzzzz": 1.0},
		"alpha is a text, and train.params declares a number":                           {"alpha": "0.1; id"},
		"trees is a list, and train.params declares a number":                           {"trees": []any{1.0}},
		"name is a number, and train.params declares a text":                            {"name": 1.0},
		"on is a null, and train.params declares a bool":                                {"on": nil},
		`name begins with "-"`:                                                          {"name": "--config=/etc/passwd"},
		"any has a control character":                                                   {"any": "a\x00b"},
		"name has a control character":                                                  {"name": "a\nb"},
		"shell becomes code in train.command, and cannot be set by a request: have the": {"shell": "$(id)"},
	} {
		if err := train.CheckParams(params); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", params, err, want)
		}
	}
	if err := (&Train{}).CheckParams(map[string]any{"a": 1.0}); err == nil || !strings.Contains(err.Error(), "train.params is empty") {
		t.Errorf("got %v", err)
	}
	err := train.CheckParams(map[string]any{"alfa": 1.0, "on": 1.0})
	if err == nil || !strings.Contains(err.Error(), "alfa") || !strings.Contains(err.Error(), "on is a number") {
		t.Errorf("not all mistakes at once: %v", err)
	}
}

// A parameter is no part of what a shell or an interpreter runs as code.
func TestParameterInCode(t *testing.T) {
	t.Parallel()
	for command, refused := range map[string]bool{
		`[sh, -c, "train {{params.x}}"]`:                     true,
		`[bash, -o, pipefail, -ec, "train {{params.x}}"]`:    true,
		`[env, A=b, /bin/bash, -lc, "train {{ params.x }}"]`: true,
		`[python3.12, -u, -c, "f({{params.x}})"]`:            true,
		`[perl, -e, "{{params.x}}"]`:                         true,
		`[sh, -c, 'train "$1"', sh, "{{params.x}}"]`:         false,
		`[python, train.py, -c, "{{params.x}}"]`:             false,
		`[python, -m, train, "--x={{params.x}}"]`:            false,
		`[sh, -e, train.sh, "{{params.x}}"]`:                 false,
	} {
		files := sample()
		at := strings.Index(files[FileName], "  train:")
		files[FileName] = files[FileName][:at] + "  train: {params: {x: 1}, command: " + command + "}\n"
		_, err := Load(folder(t, files))
		if got := err != nil && strings.Contains(err.Error(), "is run as code"); got != refused {
			t.Errorf("%s: %v", command, err)
		}
	}
}
