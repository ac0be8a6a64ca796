package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// codeExts are the extensions by which an argument of train.command is taken for
// a file of code.
var codeExts = []string{".py", ".sh", ".r", ".jl", ".rb", ".js", ".ts", ".pl"}

// MissingCode reports the files of code that train.command names and that are
// not in the pipeline's folder. It reports nothing if the trainer has an image,
// which may hold them.
func (l *Loaded) MissingCode() Problems {
	t := l.Pipeline.Spec.Train
	if t == nil || t.Image != "" {
		return nil
	}
	var problems Problems
	for i, arg := range t.Command {
		if !namesCode(arg, i == 0) {
			continue
		}
		if info, err := os.Stat(filepath.Join(l.Dir, arg)); err == nil && !info.IsDir() {
			continue
		}
		p := l.Problem(index("spec.train.command", i), fmt.Sprintf("%q does not exist in the pipeline's folder, where the trainer runs", arg))
		if near := Nearest(arg, filesOf(filepath.Join(l.Dir, filepath.Dir(arg)), filepath.Dir(arg))); near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		problems = append(problems, p)
	}
	return problems
}

// namesCode reports whether an argument is the path of a file of code in the
// pipeline's folder.
func namesCode(arg string, program bool) bool {
	if strings.ContainsAny(arg, " \t\n") || len(placeholders(arg)) > 0 || !filepath.IsLocal(arg) || strings.HasPrefix(arg, "-") {
		return false
	}
	// An environment beside the code is made when it is first needed.
	if slices.ContainsFunc(notCode, func(name string) bool { return slices.Contains(strings.Split(filepath.ToSlash(arg), "/"), name) }) {
		return false
	}
	return slices.Contains(codeExts, strings.ToLower(filepath.Ext(arg))) && (!program || strings.Contains(arg, "/"))
}

// filesOf lists the files of a folder under the name prefix.
func filesOf(dir, prefix string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, filepath.Join(prefix, e.Name()))
		}
	}
	return names
}
