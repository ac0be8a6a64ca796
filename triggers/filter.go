package triggers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// filter is a compiled filter of a trigger.
type filter interface {
	matches(attributes map[string]string) bool
	// types gives the types that events must have to pass, sorted; only is
	// false when events of other types may pass too.
	types() (types []string, only bool)
}

// filterSpec is Knative's SubscriptionsAPIFilter: one dialect. Those that no
// trigger of Millrace uses are read to be refused in words.
type filterSpec struct {
	All   []filterSpec      `json:"all"`
	Any   []filterSpec      `json:"any"`
	Not   *filterSpec       `json:"not"`
	Exact map[string]string `json:"exact"`

	Prefix any `json:"prefix"`
	Suffix any `json:"suffix"`
	CESQL  any `json:"cesql"`
}

func (s filterSpec) compile() (filter, error) {
	var dialects []string
	for name, set := range map[string]bool{
		"all": s.All != nil, "any": s.Any != nil, "not": s.Not != nil, "exact": s.Exact != nil,
		"prefix": s.Prefix != nil, "suffix": s.Suffix != nil, "cesql": s.CESQL != nil,
	} {
		if set {
			dialects = append(dialects, name)
		}
	}
	slices.Sort(dialects)
	switch {
	case len(dialects) == 0:
		return nil, errors.New("a filter is empty: it must be one of all, any, not, exact")
	case len(dialects) > 1:
		return nil, fmt.Errorf("a filter is %s: it must be one of them", strings.Join(dialects, " and "))
	}
	var f filter
	var err error
	switch dialects[0] {
	case "all":
		f, err = allOf(s.All)
	case "any":
		f, err = anyOf(s.Any)
	case "not":
		if f, err = s.Not.compile(); err == nil {
			f = not{f}
		}
	case "exact":
		f, err = exact(pairsOf(s.Exact)), checkPairs(s.Exact)
	default:
		err = errors.New("this dialect of Knative is not supported by Millrace's own delivery: write the filter with all, any, not and exact")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dialects[0], err)
	}
	return f, nil
}

func compileList(specs []filterSpec) ([]filter, error) {
	if len(specs) == 0 {
		return nil, errors.New("the list is empty")
	}
	fs := make([]filter, len(specs))
	errs := make([]error, len(specs))
	for i, s := range specs {
		if fs[i], errs[i] = s.compile(); errs[i] != nil {
			errs[i] = fmt.Errorf("[%d]: %w", i, errs[i])
		}
	}
	return fs, errors.Join(errs...)
}

func allOf(specs []filterSpec) (filter, error) { fs, err := compileList(specs); return all(fs), err }
func anyOf(specs []filterSpec) (filter, error) {
	fs, err := compileList(specs)
	return anyFilter(fs), err
}

type all []filter

func (fs all) matches(a map[string]string) bool {
	for _, f := range fs {
		if !f.matches(a) {
			return false
		}
	}
	return true
}

func (fs all) types() (types []string, only bool) {
	for _, f := range fs {
		ts, o := f.types()
		switch {
		case !o:
		case !only:
			types, only = ts, true
		default:
			types = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return !slices.Contains(ts, t) })
		}
	}
	return types, only
}

type anyFilter []filter

func (fs anyFilter) matches(a map[string]string) bool {
	return slices.ContainsFunc(fs, func(f filter) bool { return f.matches(a) })
}

func (fs anyFilter) types() (types []string, only bool) {
	for _, f := range fs {
		ts, o := f.types()
		if !o {
			return nil, false
		}
		types = append(types, ts...)
	}
	slices.Sort(types)
	return slices.Compact(types), true
}

type not struct{ filter }

func (f not) matches(a map[string]string) bool { return !f.filter.matches(a) }
func (not) types() ([]string, bool)            { return nil, false }

// pairs are attributes and texts, by name.
type pairs []struct{ name, text string }

func pairsOf(m map[string]string) pairs {
	ps := make(pairs, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		ps = append(ps, struct{ name, text string }{name, m[name]})
	}
	return ps
}

// A text is never empty, so that a missing attribute, "" in the map, does not
// equal it.
type exact pairs

func (f exact) matches(a map[string]string) bool {
	for _, p := range f {
		if a[p.name] != p.text {
			return false
		}
	}
	return true
}

func (f exact) types() ([]string, bool) {
	for _, p := range f {
		if p.name == "type" {
			return []string{p.text}, true
		}
	}
	return nil, false
}

// checkPairs reports what cannot be compared: no pairs, bad names, empty values.
func checkPairs(m map[string]string) error {
	if len(m) == 0 {
		return errors.New("no attribute is named")
	}
	errs := []error{attributeNames(m)}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] == "" {
			errs = append(errs, fmt.Errorf("the value of %s is empty", name))
		}
	}
	return errors.Join(errs...)
}

func attributeNames(m map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m)) {
		letter := name != "" && name[0] >= 'a' && name[0] <= 'z'
		if !letter || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			errs = append(errs, fmt.Errorf("attribute name %q is not a lower-case letter followed by letters and digits", name))
		}
	}
	return errors.Join(errs...)
}
