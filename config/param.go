package config

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// CheckParams checks the parameters of a request against train.params: each
// has to be declared there, and has to be of the type of what is declared. A
// text has no control characters and does not begin with "-", since it may
// become an argument of the trainer. The error joins every mistake.
func (t *Train) CheckParams(params map[string]any) error {
	var errs []error
	known := slices.Sorted(maps.Keys(t.Params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params[name]
		declared, ok := t.Params[name]
		text, isText := value.(string)
		switch {
		case !ok && len(known) == 0:
			errs = append(errs, fmt.Errorf("the parameter %.64q is not declared: the pipeline's train.params is empty", name))
		case !ok:
			hint := didYouMean(name, known)
			if hint == "" {
				hint = "declared are " + strings.Join(known, ", ")
			}
			errs = append(errs, fmt.Errorf("the parameter %.64q is not one of train.params: %s", name, hint))
		case declared != nil && typeOf(value) != typeOf(declared):
			errs = append(errs, fmt.Errorf("the parameter %s is a %s, and train.params declares a %s", name, typeOf(value), typeOf(declared)))
		case isText && strings.HasPrefix(text, "-"):
			errs = append(errs, fmt.Errorf(`the parameter %s begins with "-": the trainer would take it for an option`, name))
		case isText && strings.ContainsFunc(text, unicode.IsControl):
			errs = append(errs, fmt.Errorf("the parameter %s has a control character", name))
		case t.isCode(name):
			errs = append(errs, fmt.Errorf("the parameter %s becomes code in train.command, and cannot be set by a request: have the trainer read it from the file MILLRACE_PARAMS", name))
		}
	}
	return errors.Join(errs...)
}

// typeOf names the type of a parameter's value. Numbers are of one type, since
// a default of 1 says nothing about 0.5.
func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case string:
		return "text"
	case []any:
		return "list"
	case map[string]any:
		return "map"
	}
	return "number"
}

var (
	shell       = regexp.MustCompile(`^(sh|bash|dash|ash|zsh|ksh|fish)$`)
	interpreter = regexp.MustCompile(`^(sh|bash|dash|ash|zsh|ksh|fish|python[0-9.]*|perl|ruby|node|julia|R|Rscript|php)$`)
	codeFlag    = regexp.MustCompile(`^(-[A-Za-z]*[ceE]|-p|--eval|--print|--command)$`)
)

// code is the index of the argument that a shell or an interpreter runs as
// code, as behind sh -c, -1 without one.
func (t *Train) code() int {
	for i, arg := range t.Command {
		program := path.Base(arg)
		if !interpreter.MatchString(program) {
			continue
		}
		for k := i + 1; k < len(t.Command)-1 && strings.HasPrefix(t.Command[k], "-"); k++ {
			flag := t.Command[k]
			switch {
			case shell.MatchString(program) && (flag == "-o" || flag == "-O"):
				k++ // its value
			case shell.MatchString(program) && !strings.HasSuffix(flag, "c") && flag != "--command": // sh -e
			case codeFlag.MatchString(flag):
				return k + 1
			}
		}
	}
	return -1
}

// isCode reports whether the parameter is put into code.
func (t *Train) isCode(param string) bool {
	i := t.code()
	return i >= 0 && slices.Contains(placeholders(t.Command[i]), "params."+param)
}
