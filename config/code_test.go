package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"millrace.dev/config"
)

func TestMissingCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "train.py"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for train, want := range map[string]string{
		"command: [python, train.py]":                                      "",
		"command: [python, tran.py]":                                       "spec.train.command[1]",
		"command: [sh, src/run.sh, '--rate={{params.a}}'], params: {a: 1}": "spec.train.command[1]",
		"command: [./fit.sh]":                                              "spec.train.command[0]",
		"command: [fit.sh]":                                                "", // of the search path
		"command: [.venv/bin/python, -m, train]":                           "",
		"command: [sh, -c, 'exec train.sh']":                               "",
		"command: [python, /opt/train.py]":                                 "",
		"command: [python, tran.py], image: example.com/trainer:1":         "", // which may have it
	} {
		file := filepath.Join(dir, config.FileName)
		text := "apiVersion: millrace.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: code}\nspec:\n  data:\n    uploads: [\"code/*\"]\n" +
			"    columns: {x: {type: float}, y: {type: float}}\n  model: {task: regression, label: y, features: [x]}\n  train: {" + train + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := config.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		field := ""
		for _, p := range l.MissingCode() {
			field = p.Field
			if p.Line != 9 || p.File != file {
				t.Errorf("%s: %v", train, p)
			}
		}
		if field != want {
			t.Errorf("%s: %q, want %q", train, field, want)
		}
	}
}
