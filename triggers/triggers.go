package triggers

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed *.yaml
var files embed.FS

// Files are the YAML files of Millrace itself, with the kustomization that
// lists them.
func Files() fs.FS { return files }

// Embedded gives the triggers and schedules of Millrace itself, by name.
func Embedded() ([]Trigger, []Schedule, error) { return Load(files) }

// Load reads every *.yaml file at the root of fsys: Triggers and PingSources,
// several in a file if it likes, by name. A Kustomization is passed over. It
// reports every mistake at once, each with its file.
func Load(fsys fs.FS) ([]Trigger, []Schedule, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, nil, err
	}
	var (
		ts   []Trigger
		ss   []Schedule
		errs []error
	)
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i, doc := range documents(text) {
			t, s, err := parse(doc)
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("%s, document %d: %w", name, i+1, err))
			case t != nil:
				ts = append(ts, *t)
			case s != nil:
				ss = append(ss, *s)
			}
		}
	}
	slices.SortFunc(ts, func(a, b Trigger) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(ss, func(a, b Schedule) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(ts); i++ {
		if ts[i].Name == ts[i-1].Name {
			errs = append(errs, fmt.Errorf("there are two triggers of the name %s", ts[i].Name))
		}
	}
	for i := 1; i < len(ss); i++ {
		if ss[i].Name == ss[i-1].Name {
			errs = append(errs, fmt.Errorf("there are two schedules of the name %s", ss[i].Name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return ts, ss, nil
}

// For gives the embedded trigger of a function.
func For(function string) (Trigger, error) {
	ts, _, err := Embedded()
	if err != nil {
		return Trigger{}, err
	}
	for _, t := range ts {
		if t.Function == function {
			return t, nil
		}
	}
	return Trigger{}, fmt.Errorf("no trigger leads to %s", function)
}
